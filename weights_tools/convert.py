"""Converts a foreign checkpoint to a network's weights, completely or not at all."""

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
from keras_effnets.weights.published import provenance
from weights_tools.formats.checkpoint import read_checkpoint
from weights_tools.formats.our_format import LAYOUT, OURS, digest, write_weights_file

OUTPUTS = (".safetensors", ".keras", ".weights.h5")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversionReport:
    """A conversion's result."""

    model: str
    source: str
    evidence: str
    place: str
    """Where in the file the network was: a wrapper or a prefix; or empty."""
    profile: str
    preset: Preset
    preset_origin: str
    weights_set: str | None
    """The published set with the checkpoint's hash, if any."""
    sha256: str
    classes: int
    """Outputs of the classifier that was written; 0 for none."""
    head: str
    """Where the classifier comes from, or why there is none."""
    tensors: int
    cast: dict[str, int]
    """The number of tensors of each type that became float32."""
    left_out: tuple[str, ...]
    measured: dict[str, Any]
    """`verify`'s figures; empty without `verify`."""
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
) -> ConversionReport:
    """Converts a checkpoint to a file of ours or of Keras's.

    Args:
        path: The checkpoint: `.pth`, `.pt`, `.bin`, `.safetensors`, `.keras` or `.h5`.
        model: The network's name, as in `keras_effnets.list_models`.
        out: The file to write: `.safetensors` (ours), `.keras` (a whole model) or `.weights.h5`.
        source: The source of the checkpoint's key names; None detects it.
        profile: Decides between sources with the same names.
        include_top: Whether to convert the classifier, if there is one.
        allow_nonfinite: Whether to accept NaN and infinity.
        settings: Options of the trained network that no shape reveals, by the config's field:
            `{"stride": "v1"}` for a ResNet with the paper's strides.
        verify: Whether to compare the result with the original first, with
            `weights_tools.verify.verify`; the file then records the figures.
        against: The original to compare with, if not the checkpoint itself.

    Raises:
        ValueError: For an unknown model, source or ending, or a checkpoint that does not fit or,
            with `verify`, gives other numbers; nothing is written then.
        OSError: If a file cannot be read or written.
    """
    out = Path(out)
    if not out.name.endswith(OUTPUTS):
        raise ValueError(f"out={str(out)!r} does not end in one of {', '.join(OUTPUTS)}")
    builder = get_builder(model)
    settings = dict(settings or {})
    if unknown := settings.keys() - set(builder.config.fixed_by_weights):
        raise ValueError(
            f"settings={', '.join(unknown)}: {model} has no such setting; it has "
            + (", ".join(builder.config.fixed_by_weights) or "none")
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
    return ConversionReport(
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
    """`verify`'s figures for a conversion; ValueError if it differs from its original."""
    from weights_tools.verify import verify

    found = verify(converted, model, against=against, source=source)
    if found.first is not None:
        raise ValueError(
            f"{os.fspath(against)} as {model} first differs from the original in "
            f"{found.first.sublayer}: {found.first.reason}"
        )
    return found.summary()


def _save_with_keras(write: Any, builder: Any, out: Path) -> None:
    """Writes a file of ours, builds the network from it, and saves that with Keras."""
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
