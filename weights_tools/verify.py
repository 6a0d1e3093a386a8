"""Compares a converted network with its reference, and names the first sublayer that differs."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_effnets import cache
from keras_effnets.catalog import WEIGHTS
from keras_effnets.preprocessing import load_image
from weights_tools.observed import LOGITS, PREPARED, Samples, error, relative_error
from weights_tools.ours import at_side, digests, load, observe, preset_of, provenance
from weights_tools.pictures import as_file, drawn, read_pictures
from weights_tools.recorded import Reference, read_reference
from weights_tools.reference import run_reference
from weights_tools.verification import PICTURES, Comparison, Divergence, Verification

TOLERANCE = 1e-4
"""Of max|Δ| / max|reference|."""
NOISE_FACTOR = 4
"""Where the reference in float32 is so inexact that this much of it is above the tolerance, that
is the tolerance."""
ALIVE = 0.1
"""Spread of the logits from which a reference is alive."""


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
    sublayers = tuple(_compared(seen, reference, tolerance))
    notes = list(_notes(reference, header or {}, tolerance))
    # Nothing says how the pictures of a checkpoint that is not published were prepared.
    known = reference.weights_set is not None
    if picture_error > tolerance and not known:
        notes.append(
            f"the checkpoint is no published set: {reference.name} prepares pictures otherwise "
            f"than the preset {wanted.to_dict()}, and nothing says which is right"
        )
    pixels = Comparison(PICTURES, picture_error, tolerance if known else float("inf"))
    stages = (pixels, *_stages(sublayers))
    theirs, mine = reference.logits, seen[LOGITS].values
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
        first=_first(pixels, sublayers, own, reference),
        top1_agreement=agreement,
        notes=tuple(notes),
    )


def _compared(
    seen: dict[str, Samples], reference: Reference, tolerance: float
) -> Iterator[Comparison]:
    for point, theirs in reference.points.items():
        allowed = max(tolerance, NOISE_FACTOR * reference.noise[point])
        yield Comparison(point, error(seen.get(point), theirs), allowed)


def _stages(sublayers: Sequence[Comparison]) -> Iterator[Comparison]:
    """A stage's features are what the first convolution after it is given."""
    part = "preprocessing"
    for found in sublayers:
        path, _, side = found.name.partition(":")
        if found.name == PREPARED or found.name == LOGITS:
            name = "logits" if found.name == LOGITS else part
            yield Comparison(name, found.error, found.tolerance)
        elif side == "input" and (now := path.split("/")[0].split("_block")[0]) != part:
            if part != "preprocessing":
                yield Comparison(part, found.error, found.tolerance)
            part = now


def _first(
    pixels: Comparison,
    sublayers: Sequence[Comparison],
    own: dict[str, str],
    reference: Reference,
) -> Divergence | None:
    if not pixels.ok:
        return Divergence(
            sublayer=PICTURES,
            side="output",
            before=None,
            after=pixels.error,
            tensors=(),
            reason="the preset resizes or crops pictures otherwise than the reference does",
        )
    agreed: dict[str, float] = {}
    for found in sublayers:
        if found.ok:
            agreed[found.name] = found.error
            continue
        path, _, side = found.name.partition(":")
        last = next(reversed(agreed), None)
        if side == "output" and f"{path}:input" in agreed:
            last = f"{path}:input"
        tensors: tuple[str, ...] = ()
        if side == "output":
            inside = [name for name in own if name.startswith(f"{path}/")]
            tensors = tuple(n for n in inside if own[n] != reference.digests[n])
        return Divergence(
            sublayer=path,
            side=side,
            before=agreed.get(last) if last else None,
            after=found.error,
            tensors=tuple(name.rpartition("/")[2] for name in tensors),
            reason=_reason(found.name, last, tensors),
        )
    return None


def _reason(point: str, last: str | None, tensors: Sequence[str]) -> str:
    path, _, side = point.partition(":")
    if point == PREPARED:
        return "the preset's mean or std are not the reference's: same pixels, other input"
    if side == "input":
        before = (last or "").partition(":")[0]
        return (
            f"{before} still agrees, and what {path} is given does not: an activation, a gate, a "
            "skip or a pooling between them is not the reference's"
        )
    if tensors:
        names = ", ".join(name.rpartition("/")[2] for name in tensors)
        return f"same input, other output: its {names} {_is(tensors)} not the original's"
    return (
        "same input, other output, and its tensors are the original's: it computes otherwise, "
        "for instance with another padding, stride or epsilon"
    )


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _notes(reference: Reference, header: Mapping[str, str], tolerance: float) -> Iterator[str]:
    noise = max(reference.noise.values())
    if NOISE_FACTOR * noise > tolerance:
        yield (
            f"the reference's own rounding is {noise:.1e}: where it is above {tolerance:.1e} / "
            f"{NOISE_FACTOR}, {NOISE_FACTOR} times as much is allowed"
        )
    if reference.spread < ALIVE:
        yield (
            f"the reference is not alive: spread {reference.spread:.2g} < {ALIVE}; its answers "
            "hardly depend on the picture, so that agreeing with it proves little"
        )
    if header.get("source_sha256", reference.sha256) != reference.sha256:
        yield (
            f"the file comes from the checkpoint {header['source_sha256'][:8]}…, the reference "
            f"from {reference.sha256[:8]}…"
        )
    if header.get("profile", reference.profile) != reference.profile:
        yield (
            f"the file's profile is {header['profile']!r}, and {reference.source} checkpoints "
            f"are right in {reference.profile!r}"
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
