"""A reference: the images, activations and digests of an original network, and its file."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.atomic import replacing
from weights_tools.formats.checkpoint import DAMAGE
from weights_tools.verify.activations import (
    LOGITS,
    MEANS,
    PREPARED,
    VALUES,
    Samples,
    logits_point,
    step,
)

FORMAT = 1
MAX_BYTES = 2**30
"""The largest unpacked size that is read; B7 at 600 pixels takes less than a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An original network, the images it was given, and its activations in float32."""

    model: str
    """Our network of the same architecture."""
    name: str
    """The library and its version."""
    versions: Mapping[str, str]
    """Version of each package involved."""
    source: str
    """The source of the checkpoint's key names: a key of the config's `spellings`."""
    profile: str
    sha256: str
    """SHA-256 of the checkpoint."""
    weights_set: str | None
    """The published set, if the checkpoint is one."""
    pictures: tuple[NDArray[np.uint8], ...]
    """The images, (H, W, 3), RGB."""
    pixels: NDArray[np.uint8]
    """(B, side, side, 3): the images, resized and cropped by the reference's preprocessing."""
    scaled: bool
    """Whether `side` was given rather than taken from the reference."""
    points: Mapping[str, Samples]
    """Samples of each sublayer, in order."""
    noise: Mapping[str, float]
    """Relative error of each point in float32 against float64."""
    digests: Mapping[str, str]
    """Digest of each of the checkpoint's tensors, by the path of our variable."""

    @property
    def side(self) -> int:
        """The input size, in pixels."""
        return int(self.pixels.shape[1])

    @property
    def logits(self) -> NDArray[np.float32]:
        """(B, classes)."""
        return self.points[logits_point(self.points)].values

    @property
    def spread(self) -> float:
        """Largest relative deviation of the logits from their mean over the images.

        If it is small, the network's answer hardly depends on the image, and agreement with it
        proves nothing.
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
    """Reads a file of `write_reference`; nothing in it is executed.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is damaged, or not a reference.
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
    except (*DAMAGE, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path}: is not a valid reference of `weights-tools record` "
            f"({error or type(error).__name__})"
        ) from error


def _parsed(arrays: dict[str, NDArray[Any]]) -> Reference:
    about = json.loads(_checked("about", arrays["about"], np.uint8, (None,)).tobytes())
    if not isinstance(about, dict) or about["format"] != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
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
            _checked("an image", arrays[f"pictures/{i}"], np.uint8, (None, None, 3))
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
    """Returns the array if it has this dtype and shape; None in the shape allows any length."""
    fits = len(shape) == array.ndim and all(
        n in (None, m) for n, m in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}")
    return array
