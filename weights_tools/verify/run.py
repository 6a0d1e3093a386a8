"""Compares a converted network with its original, and names the first sublayer that differs."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_effnets.images.preprocessing import load_image
from keras_effnets.weights import cache
from keras_effnets.weights.catalog import WEIGHTS
from weights_tools.verify.activations import logits_point, relative_error
from weights_tools.verify.diagnosis import compared, first_divergence, notes_on, stages_of
from weights_tools.verify.our_network import at_side, digests, load, observe, preset_of, provenance
from weights_tools.verify.recording import Reference, read_reference
from weights_tools.verify.reference_run import run_reference
from weights_tools.verify.result import PICTURES, Comparison, Verification
from weights_tools.verify.shown_images import as_file, drawn, read_pictures

TOLERANCE = 1e-4
"""The default limit of max|Δ| / max|reference|."""


def verify(
    file: str | os.PathLike[str],
    model: str,
    *,
    against: str | os.PathLike[str] | None = None,
    pictures: Sequence[str | os.PathLike[str]] = (),
    side: int | None = None,
    source: str | None = None,
    tolerance: float | None = None,
) -> Verification:
    """Compares the network in a file with the one that the original checkpoint was made for.

    Args:
        file: Any file that `weights=` takes: ours, Keras's, or a foreign checkpoint.
        model: The name of its network, as in `keras_effnets.list_models`.
        against: The original checkpoint, or an `.npz` file of `weights-tools record`. By default
            `file` itself if it is a foreign checkpoint, else the checkpoint that its header names:
            next to it, or published.
        pictures: Image files to use in addition to the drawn ones.
        side: The input size in pixels; by default the reference's.
        source: The source of the original's names, if it cannot be detected.
        tolerance: The limit of each relative error; 1e-4 by default, and higher where the
            reference's own rounding error is large.

    Raises:
        ValueError: If a file is invalid or does not fit, or the original is unknown.
        OSError: If a file cannot be read, or the reference's library is not installed.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file")
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"tolerance={tolerance!r}: must be above 0")
    header = provenance(file)
    origin = {"source_sha256": cache.sha256(file)} if header is None else header
    if against is not None and Path(against).suffix == ".npz":
        reference = read_reference(against)
        _check_recorded(reference, against, model, pictures, side)
    else:
        if against is None:
            against = file if header is None else _original(file, model, header)
        shown = (*drawn(), *read_pictures(pictures))
        source = source or origin.get("source")
        reference = run_reference(against, model, shown, side=side, source=source)
    # The profile in the header of our own file is part of the comparison.
    profile = reference.profile if header is None else None
    return examine(
        load(file, model, reference.logits.shape[1], profile),
        reference,
        file=str(file),
        header=origin,
        tolerance=TOLERANCE if tolerance is None else tolerance,
    )


def examine(
    network: keras.Model,
    reference: Reference,
    *,
    file: str = "",
    header: Mapping[str, str] | None = None,
    tolerance: float = TOLERANCE,
) -> Verification:
    """Compares a network in memory with a reference; the network cannot be used afterwards.

    Args:
        network: A network built here.
        reference: A reference of the same architecture.
        file: The network's file, for the report.
        header: The metadata of that file.
        tolerance: The limit of each relative error.

    Raises:
        ValueError: If the names of the network's weights differ from the reference's.
    """
    if not np.isfinite(max(reference.noise.values())):
        raise ValueError(f"the reference {reference.name} computes values that are not finite")
    preset = preset_of(network)
    wanted = preset.at(reference.side) if reference.scaled else preset
    network = at_side(network, reference.side)
    own = digests(network)
    if other := sorted(own.keys() ^ reference.digests.keys()):
        raise ValueError(
            f"{file or network.name} is not a {reference.model}: only one of the two has "
            + ", ".join(other[:4])
        )
    resized = np.stack([load_image(as_file(picture), wanted) for picture in reference.pictures])
    picture_error = relative_error(resized, reference.pixels.astype(np.float32))
    seen = observe(network, reference.points, reference.pixels)
    sublayers = tuple(compared(seen, reference, tolerance))
    notes = list(notes_on(reference, header or {}, tolerance))
    # The preprocessing of a checkpoint that is not published is unknown.
    known = reference.weights_set is not None
    if picture_error > tolerance and not known:
        notes.append(
            f"the checkpoint is not a published set, and {reference.name} resizes images "
            f"differently than the preset {wanted.to_dict()}: either may be right"
        )
    pixels = Comparison(PICTURES, picture_error, tolerance if known else float("inf"))
    stages = (pixels, *stages_of(sublayers))
    logits = seen[logits_point(seen)].values
    agreement = 0.0
    if logits.shape == reference.logits.shape:
        agreement = float((logits.argmax(1) == reference.logits.argmax(1)).mean())
    return Verification(
        file=file,
        model=reference.model,
        reference=reference.name,
        versions=dict(reference.versions),
        weights_set=reference.weights_set,
        side=reference.side,
        pictures=len(reference.pictures),
        tolerance=tolerance,
        noise=max(reference.noise.values()),
        spread=reference.spread,
        stages=stages,
        sublayers=sublayers,
        first=first_divergence(pixels, sublayers, own, reference),
        top1_agreement=agreement,
        notes=tuple(notes),
    )


def _check_recorded(
    reference: Reference,
    path: str | os.PathLike[str],
    model: str,
    pictures: Sequence[Any],
    side: int | None,
) -> None:
    if reference.model != model:
        raise ValueError(f"{os.fspath(path)} is a reference for {reference.model}, not {model}")
    if pictures:
        raise ValueError(f"{os.fspath(path)} has its own images: no others can be added")
    if side not in (None, reference.side):
        raise ValueError(f"side={side}, but {os.fspath(path)} was recorded at {reference.side}")


def _original(file: Path, model: str, header: Mapping[str, str]) -> Path:
    """Finds the checkpoint that one of our files was converted from."""
    wanted = header.get("source_sha256")
    beside = file.parent / Path(header.get("source_file") or "-").name
    if wanted and beside.is_file() and cache.sha256(beside) == wanted:
        return beside
    for info in WEIGHTS.get(model, ()):
        if wanted and info.sha256 and wanted.startswith(info.sha256):
            return cache.locate(info, model)
    stated = f"{beside.name} with SHA-256 {wanted}" if wanted else "none"
    raise ValueError(
        f"{file}: the original checkpoint was not found (the header names {stated}); "
        "pass it, or a recorded reference, with --against"
    )
