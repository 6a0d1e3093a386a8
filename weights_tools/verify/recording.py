"""What a reference network was shown and what it said, and the file that keeps it."""

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.atomic import replacing
from weights_tools.verify.activations import (
    LOGITS,
    MEANS,
    PREPARED,
    VALUES,
    Samples,
    logits_point,
    step,
)
from weights_tools.verify.shown_pictures import Picture

FORMAT = 1
MAX_BYTES = 2**30
"""A file that would unpack to more is refused; those of B7 at 600 pixels stay below a tenth."""

# What parsing damaged bytes raises in the standard library and numpy.
_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    EOFError,
    RuntimeError,
    MemoryError,
    NotImplementedError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A network that is not ours, what it was shown and what passed through it, in float32."""

    model: str
    """Ours, which is compared with it."""
    name: str
    """The library and its release."""
    versions: Mapping[str, str]
    """Of everything that had a part, by package."""
    source: str
    """Whose key names its checkpoint has, as `weights_tools.rules` spells it."""
    profile: str
    sha256: str
    """Of its checkpoint."""
    weights_set: str | None
    """The published set that the checkpoint is."""
    pictures: tuple[Picture, ...]
    pixels: NDArray[np.uint8]
    """(B, side, side, 3): the pictures, resized and cropped as the reference does."""
    scaled: bool
    """Whether that side was asked for, and is not the one that the reference has by itself."""
    points: Mapping[str, Samples]
    """What passed through each sublayer, in order."""
    noise: Mapping[str, float]
    """Relative error of the same points in float32 against float64."""
    digests: Mapping[str, str]
    """Of each tensor of the checkpoint, by the path of the variable that it becomes."""

    @property
    def side(self) -> int:
        """Of the pictures that the network was given, pixels."""
        return int(self.pixels.shape[1])

    @property
    def logits(self) -> NDArray[np.float32]:
        """(B, classes)."""
        return self.points[logits_point(self.points)].values

    @property
    def spread(self) -> float:
        """Largest deviation of the logits from their mean over the pictures, relative.

        Where it is small the network says nearly the same whatever it is shown, and agreeing
        with it proves nothing.
        """
        logits = self.logits.astype(np.float64)
        largest = np.abs(logits).max()
        return float(np.abs(logits - logits.mean(0)).max() / largest) if largest else 0.0


def write_reference(reference: Reference, path: str | os.PathLike[str]) -> None:
    """Writes an `.npz` file, whole or not at all."""
    about = {
        "format": FORMAT,
        **{name: getattr(reference, name) for name in _TEXTS},
        "weights_set": reference.weights_set,
        "scaled": reference.scaled,
        "versions": dict(reference.versions),
        "shapes": {point: list(seen.shape) for point, seen in reference.points.items()},
        "noise": dict(reference.noise),
        "digests": dict(reference.digests),
    }
    arrays: dict[str, Any] = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "pixels": reference.pixels,
        **{f"pictures/{i}": picture for i, picture in enumerate(reference.pictures)},
        **{f"points/{point}": seen.values for point, seen in reference.points.items()},
    }
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)


_TEXTS = ("model", "name", "source", "profile", "sha256")


def read_reference(path: str | os.PathLike[str]) -> Reference:
    """Reads what `write_reference` wrote; nothing in the file is executed.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is damaged, or nothing of the kind.
    """
    path = Path(path)
    data = path.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"it would unpack to {size:,} bytes")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return _parsed({name: arrays[name] for name in arrays.files})
    except _DAMAGE as error:
        raise ValueError(
            f"{path}: is no whole reference of `weights-tools record` "
            f"({error or type(error).__name__})"
        ) from error


def _parsed(arrays: dict[str, NDArray[Any]]) -> Reference:
    about = json.loads(_checked("about", arrays["about"], np.uint8, (None,)).tobytes())
    if not isinstance(about, dict) or about["format"] != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    texts = {name: str(about[name]) for name in _TEXTS}
    pixels = _checked("pixels", arrays["pixels"], np.uint8, (None, None, None, 3))
    count, side, width, _ = pixels.shape
    if count == 0 or side != width:
        raise ValueError(f"pixels of shape {pixels.shape}")
    points = {}
    logits = logits_point(about["shapes"])
    for point, whole in about["shapes"].items():
        shape = tuple(int(n) for n in whole)
        size = int(np.prod(shape))
        limit = size if point in (LOGITS, MEANS) else max(1, VALUES // count)
        kept = (count, len(range(0, size, step(size, limit))))
        values = _checked(point, arrays[f"points/{point}"], np.float32, kept)
        points[point] = Samples(shape, values)
    if missing := {PREPARED, logits} - points.keys():
        raise ValueError(f"it lacks {', '.join(sorted(missing))}")
    return Reference(
        **texts,
        weights_set=None if about["weights_set"] is None else str(about["weights_set"]),
        versions={str(name): str(version) for name, version in about["versions"].items()},
        pictures=tuple(
            _checked("a picture", arrays[f"pictures/{i}"], np.uint8, (None, None, 3))
            for i in range(count)
        ),
        pixels=pixels,
        scaled=bool(about["scaled"]),
        points=points,
        noise={point: float(about["noise"][point]) for point in points},
        digests={str(name): str(digest) for name, digest in about["digests"].items()},
    )


def _checked(
    name: str, array: NDArray[Any], dtype: type[np.generic], shape: tuple[int | None, ...]
) -> NDArray[Any]:
    """The array, if it is of that type and shape; None in the shape stands for any length."""
    fits = len(shape) == array.ndim and all(
        n in (None, m) for n, m in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    return array
