"""Our own format: safetensors keyed by variable path, with the provenance in the header.

The header's `keras_effnets` entry is the layout version; a safetensors file without it was not
written by this project. The `digests` entry holds a digest of each tensor's bytes, by name.
"""

import hashlib
import json
import mmap
import os
import struct
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.atomic import replacing
from weights_tools.formats.printable import printable
from weights_tools.formats.safetensors_file import DTYPES, read_safetensors
from weights_tools.formats.tensors import CheckpointError

if TYPE_CHECKING:
    from weights_tools.formats.checkpoint import Checkpoint

OURS = "keras_effnets"
"""The metadata entry that marks a file as written by this project."""
LAYOUT = "1"
_CODES = {dtype: code for code, dtype in DTYPES.items()}


class WeightsFile:
    """A safetensors file, ours or foreign; tensors are read on request.

    Raises:
        ValueError: If `path` is not a safetensors file, or is damaged.
        OSError: If it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            try:
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self._tensors, self.metadata = read_safetensors(data)
            except ValueError as error:
                raise ValueError(
                    f"{self.path}: not a whole safetensors file ({printable(str(error))})"
                ) from error

    @property
    def is_ours(self) -> bool:
        """Whether this project wrote the file."""
        return OURS in self.metadata

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor; no tensor is read."""
        return {name: tensor.shape for name, tensor in self._tensors.items()}

    def values(self) -> dict[str, Callable[[], np.ndarray]]:
        """Readers of each tensor; in our files they also check the digest.

        The readers raise ValueError for a tensor that was changed since the file was written.
        """
        if not self.is_ours:
            # Copies: a tensor that shares its memory with a mapped file cannot be written to.
            return {name: partial(np.array, tensor) for name, tensor in self._tensors.items()}
        digests = _parse_digests(self.metadata)
        return {name: partial(self._checked, name, digests.get(name)) for name in self._tensors}

    def _checked(self, name: str, expected: str | None) -> np.ndarray:
        tensor = np.array(self._tensors[name])
        _check_digest(self.path, name, tensor, expected)
        return tensor


def write_weights_file(
    path: str | os.PathLike[str],
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, Callable[[], np.ndarray]],
    metadata: Mapping[str, Any],
) -> None:
    """Writes `tensors`, in the order of `shapes`, whole or not at all.

    Only one tensor is in memory at a time, so a large conversion needs no second copy. Metadata
    values that are not strings are written as JSON.
    """
    header: dict[str, Any] = {}
    digests = {}
    end = 0
    for name, shape in shapes.items():
        tensor = tensors[name]()
        digests[name] = digest(tensor)
        start, end = end, end + int(np.prod(shape, dtype=np.int64)) * tensor.itemsize
        header[name] = {
            "dtype": _CODES[tensor.dtype.name],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    entries = {OURS: LAYOUT, **metadata, "digests": digests}
    header["__metadata__"] = {
        key: value if isinstance(value, str) else json.dumps(value)
        for key, value in entries.items()
    }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(encoded)))
        file.write(encoded)
        for name in shapes:
            file.write(_bytes(tensors[name]()))


def _bytes(tensor: NDArray[Any]) -> memoryview:
    # Viewed as uint8, because NumPy exports no buffer for bfloat16.
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data


def digest(tensor: NDArray[Any]) -> str:
    """BLAKE2b of the values in C order, 128 bits in hex."""
    return hashlib.blake2b(_bytes(tensor), digest_size=16).hexdigest()


def check_digests(checkpoint: "Checkpoint") -> None:
    """Compares every tensor of one of our files with its recorded digest.

    Raises:
        CheckpointError: At the first tensor that differs or has no digest.
    """
    digests = _parse_digests(checkpoint.metadata)
    for name, tensor in checkpoint.tensors.items():
        _check_digest(checkpoint.path, name, tensor, digests.get(name))


def _check_digest(path: Path, name: str, tensor: NDArray[Any], expected: str | None) -> None:
    if expected is None:
        raise CheckpointError(
            f"{path}: no digest is recorded for {name}; convert the original again"
        )
    if (found := digest(tensor)) != expected:
        raise CheckpointError(
            f"{path}: {name} was changed or damaged since the file was written: its digest is "
            f"{found}, but {expected} is recorded; convert the original again"
        )


def _parse_digests(metadata: Mapping[str, str]) -> dict[str, str]:
    """Returns the digests by tensor name; none where the entry is missing or invalid."""
    try:
        digests = json.loads(metadata.get("digests", "{}"))
    except ValueError:
        return {}
    return digests if isinstance(digests, dict) else {}
