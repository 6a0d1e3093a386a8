"""Writes a state dict as `torch.save` does, without torch.

The file is a zip archive of stored entries: a pickle that describes the tensors, a few format
markers, and each tensor's bytes at a multiple of 64, so that `torch.load(mmap=True)` can use them
in place. `.format_version` allows loaders to compute those offsets instead of looking them up, so
every entry is laid out exactly as torch 2.13 does it; `zipfile` cannot write that layout, and the
tests compare the two files byte for byte.
"""

import io
import os
import pickle
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.atomic import replacing
from weights_tools.formats.tensors import StorageRef, TensorRef
from weights_tools.formats.torch_format.globals import STORAGE_DTYPES, Global, find_global

ALIGNMENT = 64
ROOT = "archive"
"""The folder inside the archive; torch uses this name when it writes to a buffer."""

_STORAGES = {
    dtype: find_global(name)
    for name, dtype in STORAGE_DTYPES.items()
    if not dtype.startswith("complex") and name != "torch.storage.UntypedStorage"
}
# The limits of a zip archive without zip64 fields, less room for its directory.
_MAX_BYTES = 0xFF000000
_MAX_ENTRIES = 0xFFFF


def write_torch_file(
    path: str | os.PathLike[str], tensors: Mapping[str, Callable[[], NDArray[Any]]]
) -> None:
    """Writes tensors as the state dict of a torch module, whole or not at all.

    Args:
        path: The file to write.
        tensors: A function that returns each tensor, by name and in order. Each is called twice,
            so that only one tensor is in memory at a time.

    Raises:
        ValueError: For a dtype that is not supported, or more than a zip archive without zip64
            can hold: nearly 4 GiB, 65,534 entries. Nothing is written then.
        OSError: If the file cannot be written.
    """
    outlines = {}
    for name, read in tensors.items():
        tensor = read()
        if tensor.dtype.name not in _STORAGES:
            raise ValueError(
                f"{name} has dtype {tensor.dtype.name!r}, not one of {', '.join(_STORAGES)}"
            )
        outlines[name] = (tensor.dtype.name, tensor.shape)
    with replacing(path) as file:
        archive = _Archive(file)
        archive.add("data.pkl", state_dict_pickle(outlines))
        archive.add(".format_version", b"1")
        archive.add(".storage_alignment", str(ALIGNMENT).encode())
        archive.add("byteorder", b"little")
        for number, read in enumerate(tensors.values()):
            archive.add(f"data/{number}", _little_endian_bytes(read()))
        archive.add("version", b"3\n")
        archive.close()


def _little_endian_bytes(tensor: NDArray[Any]) -> memoryview:
    contiguous = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
    return contiguous.reshape(-1).view(np.uint8).data


class _Archive:
    """A zip archive of stored entries, written in one pass."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = 0
        self._directory: list[bytes] = []

    def add(self, name: str, content: bytes | memoryview) -> None:
        """Writes one entry with its content aligned."""
        path = f"{ROOT}/{name}".encode()
        start, size = self._position, len(content)
        if start + size > _MAX_BYTES or len(self._directory) + 1 >= _MAX_ENTRIES:
            raise ValueError(
                f"the tensors up to {name} take {start + size:,} bytes and "
                f"{len(self._directory):,} entries; at most {_MAX_BYTES:,} bytes and "
                f"{_MAX_ENTRIES - 1:,} entries are supported"
            )
        checksum = zlib.crc32(content)
        # Checksum and sizes follow the content, unless it is empty. Names are UTF-8.
        flags = 0x0808 if size else 0x0800
        # An extra field named FB pads the header.
        padding = -(start + 30 + len(path) + 4) % ALIGNMENT
        extra = struct.pack("<2sH", b"FB", padding) + b"Z" * padding
        self._write(
            struct.pack("<4s5H3L2H", b"PK\3\4", 0, flags, 0, 0, 0, 0, 0, 0, len(path), len(extra)),
            path,
            extra,
            content,
        )
        if size:
            self._write(struct.pack("<4s3L", b"PK\7\10", checksum, size, size))
        sizes = struct.pack("<3L", checksum, size, size)
        self._directory.append(
            struct.pack("<4s6H", b"PK\1\2", 0, 0, flags, 0, 0, 0)
            + sizes
            + struct.pack("<5H2L", len(path), 0, 0, 0, 0, 0, start)
            + path
        )

    def close(self) -> None:
        """Writes the directory."""
        start, count = self._position, len(self._directory)
        size = sum(map(len, self._directory))
        end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, start, 0)
        self._write(*self._directory, end)

    def _write(self, *pieces: bytes | memoryview) -> None:
        for piece in pieces:
            self._file.write(piece)
            self._position += len(piece)


def state_dict_pickle(outlines: Mapping[str, tuple[str, tuple[int, ...]]]) -> bytes:
    """Pickles, in protocol 2, an OrderedDict of contiguous tensors with a storage each.

    Args:
        outlines: The dtype and shape of each tensor, by name.
    """
    tensors = OrderedDict(
        (name, _contiguous(str(number), dtype, shape))
        for number, (name, (dtype, shape)) in enumerate(outlines.items())
    )
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=2).dump(tensors)
    return buffer.getvalue()


def _contiguous(key: str, dtype: str, shape: tuple[int, ...]) -> TensorRef:
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)  # as torch counts them
    count = step if 0 not in shape else 0
    return TensorRef(StorageRef(key, dtype, count), dtype, 0, shape, tuple(reversed(strides)))


# The pickler in Python, not the one in C, which imports torch to check the names that it writes.
class _Pickler(pickle._Pickler):
    """Pickles the records that stand for torch's objects as torch pickles the objects."""

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, StorageRef):
            return ("storage", _STORAGES[obj.dtype], obj.key, "cpu", obj.count)
        return None

    def save_tensor(self: Any, tensor: TensorRef) -> None:
        self.save(find_global("torch._utils._rebuild_tensor_v2"))
        # Offset, shape, strides, requires_grad, hooks.
        self.save((tensor.storage, 0, tensor.shape, tensor.strides, False, OrderedDict()))
        self.write(pickle.REDUCE)
        self.memoize(tensor)

    def save_named(self: Any, named: Global) -> None:
        module, _, name = named.name.rpartition(".")
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(named)

    dispatch = pickle._Pickler.dispatch.copy()
    dispatch[TensorRef] = save_tensor
    dispatch[Global] = save_named
