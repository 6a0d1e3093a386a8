"""Our own file: safetensors keyed by variable path, with its provenance in the header.

The header's `keras_effnets` entry is the version of this layout; a safetensors file without one
is somebody else's.
"""

import contextlib
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
        """What reads each tensor."""
        return {name: partial(self._file.get_tensor, name) for name in self._names}


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
    header: dict[str, Any] = {
        "__metadata__": {
            "keras_effnets": LAYOUT,
            **{k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()},
        }
    }
    end = 0
    for name, shape in shapes.items():
        tensor = tensors[name]()
        start, end = end, end + int(np.prod(shape, dtype=np.int64)) * tensor.itemsize
        header[name] = {
            "dtype": _CODES[tensor.dtype.name],
            "shape": list(shape),
            "data_offsets": [start, end],
        }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with replacing(path) as file:
        file.write(struct.pack("<Q", len(encoded)))
        file.write(encoded)
        for name in shapes:
            file.write(np.ascontiguousarray(tensors[name]()).data)


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
    except BaseException:
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
