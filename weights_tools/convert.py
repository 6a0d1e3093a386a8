"""From a foreign checkpoint to a network's weights, totally or not at all."""

import json
import os
import tempfile
import zipfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py

from keras_effnets.images.preset import Preset
from keras_effnets.models.registry import get_builder
from keras_effnets.plan.deferred import outline
from keras_effnets.weights.cache import sha256
from keras_effnets.weights.catalog import find_by_hash
from keras_effnets.weights.conversion import Conversion
from keras_effnets.weights.convert import provenance
from weights_tools.formats.checkpoint import read_checkpoint
from weights_tools.formats.digests import OURS
from weights_tools.formats.our_format import LAYOUT, digest, write_weights_file

OUTPUTS = (".safetensors", ".keras", ".weights.h5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a conversion did."""

    model: str
    source: str
    evidence: str
    place: str
    """Where in the file the network was: a wrapper, or what stood before all names; or empty."""
    profile: str
    preset: Preset
    preset_origin: str
    weights_set: str | None
    """The published set that the checkpoint is, by its hash."""
    sha256: str
    classes: int
    """Of the classifier that was written; 0 for none."""
    head: str
    """Where the classifier came from, or why there is none."""
    tensors: int
    cast: dict[str, int]
    """How many tensors of each type became float32."""
    left_out: tuple[str, ...]
    measured: dict[str, Any]
    """By `verify`; empty where it was not asked for."""
    out: Path


def convert(
    path: str | os.PathLike[str],
    model: str,
    out: str | os.PathLike[str],
    *,
    source: str | None = None,
    profile: str | None = None,
    include_top: bool = True,
    allow_nonfinite: bool = False,
    settings: Mapping[str, Any] | None = None,
    verify: bool = False,
    against: str | os.PathLike[str] | None = None,
) -> Report:
    """Converts a checkpoint into a file of ours, or one of Keras's.

    Args:
        path: Of the checkpoint: `.pth`, `.pt`, `.bin`, `.safetensors`, `.keras` or `.h5`.
        model: Name of the network, as `keras_effnets.list_models` gives it.
        out: File to write: `.safetensors` (ours), `.keras` (a whole model) or `.weights.h5`.
        source: Whose names the checkpoint has; None finds out.
        profile: Decides where two sources have the same names.
        include_top: Whether the classifier is converted, if there is one.
        allow_nonfinite: Whether NaN and infinity are taken as they are.
        settings: What no shape tells of the network that the checkpoint was trained in, by the
            config's field: `{"stride": "v1"}` for a ResNet that strides as the paper's.
        verify: Whether the result is compared with the original first, by
            `weights_tools.verify.verify`; what was measured is then kept in the file.
        against: The original to compare with, if not the checkpoint itself.

    Raises:
        ValueError: For an unknown model or source, another ending, or a checkpoint that does not
            fit or, with `verify`, gives other numbers; nothing is written then.
        OSError: If a file cannot be read or written.
    """
    out = Path(out)
    if not out.name.endswith(OUTPUTS):
        raise ValueError(f"out={str(out)!r} does not end in one of {', '.join(OUTPUTS)}")
    builder = get_builder(model)
    settings = dict(settings or {})
    if unknown := settings.keys() - set(builder.config.fixed_by_weights):
        raise ValueError(
            f"{', '.join(unknown)}: nothing that {model} leaves open; that is "
            + (", ".join(builder.config.fixed_by_weights) or "nothing")
        )
    digest = sha256(Path(path)) if Path(path).is_file() else ""
    known = find_by_hash(model, digest)
    conversion = Conversion(
        path,
        replace(builder.config, **settings),
        source=source or (known.source if known else None),
        profile=profile,
        include_top=include_top and (known is None or known.has_classifier),
        allow_nonfinite=allow_nonfinite,
    )
    config = conversion.config(known.preset if known else None)
    options: dict[str, Any] = {"include_top": False}
    if conversion.classes:
        options = {"classes": conversion.classes}
    options |= settings
    shapes = outline(partial(builder, weights=None, profile=conversion.profile, **options))
    values = conversion.values(shapes)
    recorded = provenance(conversion, config, known, digest)
    if verify:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
            converted = Path(folder) / "unverified.safetensors"
            write_weights_file(converted, shapes, values, recorded)
            recorded["measured"] = _measured(converted, model, against or path, conversion.source)
    write = partial(write_weights_file, shapes=shapes, tensors=values, metadata=recorded)
    if out.suffix == ".safetensors":
        write(out)
    else:
        _save_with_keras(write, partial(builder, **options), out)
    return Report(
        model=model,
        source=conversion.source,
        evidence=conversion.evidence,
        place=conversion.place,
        profile=conversion.profile,
        preset=config.input_preset,
        preset_origin=f"the published set {known.name}" if known else conversion.preset_origin,
        weights_set=known.name if known else None,
        sha256=digest,
        classes=conversion.classes,
        head=conversion.head_origin,
        tensors=len(values),
        cast=dict(Counter(conversion.cast.values())),
        left_out=tuple(conversion.left_out),
        measured=recorded.get("measured", {}),
        out=out,
    )


def _measured(
    converted: Path, model: str, against: str | os.PathLike[str], source: str
) -> dict[str, Any]:
    """How far the conversion is from its original; ValueError where that is too far."""
    from weights_tools.verify import verify

    found = verify(converted, model, against=against, source=source)
    if found.first is not None:
        raise ValueError(
            f"{os.fspath(against)} as {model} differs from the original from "
            f"{found.first.sublayer} on: {found.first.reason}"
        )
    return found.summary()


def _save_with_keras(write: Any, builder: Any, out: Path) -> None:
    """Writes a file of ours, and has Keras save the network that is built from that."""
    ending = next(ending for ending in OUTPUTS if out.name.endswith(ending))
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        ours, whole = Path(folder) / "ours.safetensors", Path(folder) / f"model{ending}"
        write(ours)
        model = builder(weights=ours)
        if ending == ".keras":
            model.save(whole)
        else:
            model.save_weights(whole)
        tensors = read_checkpoint(whole).tensors
        digests = {name: digest(tensor) for name, tensor in tensors.items()}
        provenance = json.dumps({OURS: LAYOUT, **write.keywords["metadata"], "digests": digests})
        if ending == ".keras":
            with zipfile.ZipFile(whole, "a") as archive:
                archive.writestr("keras_effnets.json", provenance)
        else:
            with h5py.File(whole, "a") as file:
                file.attrs["keras_effnets"] = provenance
        os.replace(whole, out)
