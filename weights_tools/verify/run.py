"""Compares a converted network with its reference, and names the first sublayer that differs."""

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
from weights_tools.verify.shown_pictures import as_file, drawn, read_pictures

TOLERANCE = 1e-4
"""Of max|Δ| / max|reference|."""


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
        file: What `weights=` takes: a file of ours, of Keras's, or a foreign checkpoint.
        model: Its network, as `keras_effnets.list_models` names it.
        against: The original checkpoint, or an `.npz` file of `weights-tools record`. By default
            `file` itself where it is a checkpoint, else the one its header names: beside it, or
            published.
        pictures: Files to show besides those drawn here.
        side: Of what the networks are given, pixels; by default what the reference takes.
        source: Whose names the original has, where that cannot be told.
        tolerance: Of each relative error; 1e-4 by default, and more where the reference's own
            rounding is larger.

    Raises:
        ValueError: If a file is not what it should be, or nothing says what the original is.
        OSError: If a file cannot be read, or the reference's library is not there.
    """
    file = Path(file)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: there is no such file")
    if tolerance is not None and not tolerance > 0:
        raise ValueError(f"tolerance={tolerance!r} is not above 0")
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
    # What a file of ours says of its profile is to be compared too.
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
    """Compares a network in memory with a reference; the network is for nothing else afterwards.

    Args:
        network: One of ours.
        reference: Of the same architecture.
        file: Where the network comes from, for the report.
        header: What that file says of its origin.
        tolerance: Of each relative error.

    Raises:
        ValueError: If the network has other weights, by name, than the reference.
    """
    if not np.isfinite(max(reference.noise.values())):
        raise ValueError(f"the reference {reference.name} gives values that are not finite")
    preset = preset_of(network)
    wanted = preset.at(reference.side) if reference.scaled else preset
    network = at_side(network, reference.side)
    own = digests(network)
    if other := sorted(own.keys() ^ reference.digests.keys()):
        raise ValueError(
            f"{file or network.name} is no {reference.model}: only one of the two has "
            + ", ".join(other[:4])
        )
    resized = np.stack([load_image(as_file(picture), wanted) for picture in reference.pictures])
    picture_error = relative_error(resized, reference.pixels.astype(np.float32))
    seen = observe(network, reference.points, reference.pixels)
    sublayers = tuple(compared(seen, reference, tolerance))
    notes = list(notes_on(reference, header or {}, tolerance))
    # Nothing says how the pictures of a checkpoint that is not published were prepared.
    known = reference.weights_set is not None
    if picture_error > tolerance and not known:
        notes.append(
            f"the checkpoint is no published set: {reference.name} prepares pictures otherwise "
            f"than the preset {wanted.to_dict()}, and nothing says which is right"
        )
    pixels = Comparison(PICTURES, picture_error, tolerance if known else float("inf"))
    stages = (pixels, *stages_of(sublayers))
    theirs, mine = reference.logits, seen[logits_point(seen)].values
    agreement = 0.0
    if mine.shape == theirs.shape:
        agreement = float((mine.argmax(1) == theirs.argmax(1)).mean())
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
        raise ValueError(f"{os.fspath(path)} has its own pictures: pictures cannot be added")
    if side not in (None, reference.side):
        raise ValueError(f"side={side}: {os.fspath(path)} was recorded at {reference.side}")


def _original(file: Path, model: str, header: Mapping[str, str]) -> Path:
    """The checkpoint that a file of ours was made from."""
    wanted = header.get("source_sha256")
    beside = file.parent / Path(header.get("source_file") or "-").name
    if wanted and beside.is_file() and cache.sha256(beside) == wanted:
        return beside
    for info in WEIGHTS.get(model, ()):
        if wanted and info.sha256 and wanted.startswith(info.sha256):
            return cache.locate(info, model)
    stated = f"{beside.name} with SHA-256 {wanted}" if wanted else "nothing"
    raise ValueError(
        f"{file}: the original is not at hand (the file names {stated}); "
        "pass it, or a recorded reference, with --against"
    )
