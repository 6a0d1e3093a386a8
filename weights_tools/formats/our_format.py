"""Our own file: safetensors keyed by variable path, with its provenance in the header.

The header's `keras_effnets` entry is the version of this layout; a safetensors file without one
is somebody else's. Its `digests` entry holds a digest of each tensor's bytes, by name.
"""

import contextlib
import hashlib
import json
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from safetensors import SafetensorError, safe_open

LAYOUT = "1"
_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "uint8": "U8",
}


class WeightsFile:
    """One of our files, or somebody else's safetensors; tensors are read when asked for.

    Raises:
        ValueError: If `path` is no safetensors file or is damaged.
        OSError: If it cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self.path.open("rb"):
            pass  # a missing or unreadable file is an OSError that names it
        try:
            self._file = safe_open(self.path, framework="numpy")
        except SafetensorError as error:
            raise ValueError(f"{self.path}: not a whole safetensors file ({error})") from error
        self._names = list(self._file.keys())
        self.metadata: dict[str, str] = self._file.metadata() or {}

    @property
    def is_ours(self) -> bool:
        """Whether the file was written by this project."""
        return "keras_effnets" in self.metadata

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of every tensor; none is read."""
        return {name: tuple(self._file.get_slice(name).get_shape()) for name in self._names}

    def values(self) -> dict[str, Callable[[], np.ndarray]]:
        """What reads each tensor, and in a file of ours compares it with its digest.

        The readers raise ValueError for a tensor that is no longer what was written.
        """
        if not self.is_ours:
            return {name: partial(self._file.get_tensor, name) for name in self._names}
        digests = parse_digests(self.metadata.get("digests", "{}"))
        return {name: partial(self._checked, name, digests.get(name)) for name in self._names}

    def _checked(self, name: str, expected: str | None) -> np.ndarray:
        tensor = self._file.get_tensor(name)
        check_digest(self.path, name, tensor, expected)
        return tensor


def write_weights_file(
    path: str | os.PathLike[str],
    shapes: Mapping[str, tuple[int, ...]],
    tensors: Mapping[str, Callable[[], np.ndarray]],
    metadata: Mapping[str, Any],
) -> None:
    """Writes `tensors`, in the order of `shapes`, whole or not at all.

    One tensor is in memory at a time, so that a large conversion costs no second copy. Values of
    `metadata` that are not strings are written as JSON.
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
    entries = {"keras_effnets": LAYOUT, **metadata, "digests": digests}
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


def _bytes(tensor: np.ndarray) -> memoryview:
    # Not the array's own buffer: NumPy gives none for bfloat16.
    return np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data


def digest(tensor: np.ndarray) -> str:
    """BLAKE2b of the values in C order, 128 bits in hex."""
    return hashlib.blake2b(_bytes(tensor), digest_size=16).hexdigest()


def check_digest(path: Path, name: str, tensor: np.ndarray, expected: str | None) -> None:
    """Raises ValueError where a tensor of the file at `path` is not what was written there."""
    if expected is None:
        raise ValueError(f"{path}: no digest is recorded for {name}; convert the original again")
    if (found := digest(tensor)) != expected:
        raise ValueError(
            f"{path}: {name} was changed or damaged since the file was written: its digest is "
            f"{found}, and {expected} is recorded; convert the original again"
        )


def parse_digests(encoded: str) -> dict[str, str]:
    """The digests by tensor's name, from a file's metadata; an entry that is none is dropped."""
    try:
        digests = json.loads(encoded)
    except ValueError:
        return {}
    return digests if isinstance(digests, dict) else {}


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A file that appears under `path` when the block ends well, and not at all otherwise."""
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, target)
    except BaseException:  # an interruption too leaves no half file
        os.unlink(name)
        raise


def differences(
    wanted: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> Iterable[str]:
    """One line for each name that is missing, unexpected or of another shape."""
    for name, shape in wanted.items():
        if name not in found:
            yield f"missing: {name} {shape}"
        elif found[name] != shape:
            yield f"mis-shaped: {name} is {found[name]}, the model has {shape}"
    yield from (f"unexpected: {name} {found[name]}" for name in found if name not in wanted)
