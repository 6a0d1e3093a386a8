"""Writes a state dict as `torch.save` does, without torch.

The file is a zip archive of stored entries: a pickle that describes the tensors, a few words
about the format, and each tensor's bytes at a multiple of 64, so that `torch.load(mmap=True)`
can use them where they lie. Loaders may work out those places instead of looking them up, as
`.format_version` allows them to; so every entry is laid out as torch 2.13 does it, and the tests
compare the two files byte for byte.
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import IO

import numpy as np

from weights_tools.formats.our_format import replacing

ALIGNMENT = 64
ROOT = "archive"
"""The folder in the archive, as torch calls it where it writes to no named file."""

_STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}
# Where the fields of a plain zip archive end, less room for its directory.
_MAX_BYTES = 0xFF000000
_MAX_ENTRIES = 0xFFFF
# What Python's pickler puts into one SETITEMS.
_BATCH = 1000


def write_torch_file(
    path: str | os.PathLike[str], tensors: Mapping[str, Callable[[], np.ndarray]]
) -> None:
    """Writes tensors as the state dict of a torch module, whole or not at all.

    Args:
        path: Of the file.
        tensors: What gives each tensor, by name and in order. Each is called twice, so that one
            tensor is in memory at a time.

    Raises:
        ValueError: For a dtype that torch has not, or more than a plain zip archive holds:
            nearly 4 GiB, 65,534 entries. Nothing is written then.
        OSError: If the file cannot be written.
    """
    outlines = {name: _outline(name, tensor()) for name, tensor in tensors.items()}
    with replacing(path) as file:
        archive = _Archive(file)
        archive.add("data.pkl", state_dict_pickle(outlines))
        archive.add(".format_version", b"1")
        archive.add(".storage_alignment", str(ALIGNMENT).encode())
        archive.add("byteorder", b"little")
        for number, tensor in enumerate(tensors.values()):
            archive.add(f"data/{number}", _little_endian_bytes(tensor()))
        archive.add("version", b"3\n")
        archive.close()


def _outline(name: str, tensor: np.ndarray) -> tuple[str, tuple[int, ...]]:
    """The kind of the tensor's storage, and its shape."""
    if tensor.dtype.name not in _STORAGES:
        raise ValueError(
            f"{name} has dtype {tensor.dtype.name!r}, not one of {', '.join(_STORAGES)}"
        )
    return _STORAGES[tensor.dtype.name], tensor.shape


def _little_endian_bytes(tensor: np.ndarray) -> memoryview:
    contiguous = np.ascontiguousarray(tensor, tensor.dtype.newbyteorder("<"))
    return contiguous.reshape(-1).view(np.uint8).data


class _Archive:
    """A zip archive of stored entries, written from front to back."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._position = 0
        self._directory: list[bytes] = []

    def add(self, name: str, content: bytes | memoryview) -> None:
        """Writes one entry, its content aligned."""
        path = f"{ROOT}/{name}".encode()
        start, size = self._position, len(content)
        if start + size > _MAX_BYTES or len(self._directory) + 1 >= _MAX_ENTRIES:
            raise ValueError(
                f"the tensors up to {name} are {start + size:,} bytes in {len(self._directory):,} "
                f"entries: allowed are {_MAX_BYTES:,} bytes and {_MAX_ENTRIES - 1:,} entries"
            )
        checksum = zlib.crc32(content)
        # Sizes and checksum follow the content; of nothing, nothing follows. Names are UTF-8.
        flags = 0x0808 if size else 0x0800
        # The padding is an extra field, named FB, of as many bytes as it takes.
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
    """The pickle, of protocol 2, of an OrderedDict of tensors, one storage each.

    Args:
        outlines: The kind of storage and the shape of each tensor, by name.
    """
    pickle = _Pickle()
    pickle.empty_ordered_dict()
    items = iter(enumerate(outlines.items()))
    while batch := list(islice(items, _BATCH)):
        if len(batch) > 1:
            pickle.put(b"(")
        for number, (name, (storage, shape)) in batch:
            pickle.text(name)
            pickle.tensor(str(number), storage, shape)
        pickle.put(b"u" if len(batch) > 1 else b"s")
    return pickle.finished()


class _Pickle:
    """The opcodes that a state dict takes, in the order in which Python's pickler gives them.

    The pickler numbers everything that it might have to repeat, and repeats only classes,
    functions and the words that it meets again.
    """

    def __init__(self) -> None:
        self._pieces = [b"\x80\x02"]
        self._numbered = 0
        self._known: dict[object, int] = {}

    def finished(self) -> bytes:
        return b"".join([*self._pieces, b"."])

    def put(self, piece: bytes) -> None:
        self._pieces.append(piece)

    def number(self, piece: bytes) -> None:
        """Puts a piece whose result gets a number."""
        n = self._numbered
        self._numbered += 1
        self.put(piece + (b"q" + bytes([n]) if n < 256 else b"r" + struct.pack("<L", n)))

    def known(self, piece: bytes) -> None:
        """Puts a piece whose result is looked up from the second time on."""
        n = self._known.get(piece)
        if n is None:
            self._known[piece] = self._numbered
            self.number(piece)
        else:
            self.put(b"h" + bytes([n]) if n < 256 else b"j" + struct.pack("<L", n))

    def text(self, text: str) -> None:
        self.number(_text(text))

    def integer(self, value: int) -> None:
        if value < 0x100:
            self.put(b"K" + bytes([value]))
        elif value < 0x10000:
            self.put(b"M" + struct.pack("<H", value))
        elif value < 0x80000000:
            self.put(b"J" + struct.pack("<L", value))
        else:
            encoded = value.to_bytes(value.bit_length() // 8 + 1, "little")
            self.put(b"\x8a" + bytes([len(encoded)]) + encoded)

    def integers(self, values: tuple[int, ...]) -> None:
        """A tuple; one of more than three has its own opcodes."""
        if not values:
            self.put(b")")
            return
        if len(values) > 3:
            self.put(b"(")
        for value in values:
            self.integer(value)
        self.number(b"t" if len(values) > 3 else (b"\x85", b"\x86", b"\x87")[len(values) - 1])

    def empty_ordered_dict(self) -> None:
        self.known(b"ccollections\nOrderedDict\n")
        self.put(b")")
        self.number(b"R")

    def tensor(self, key: str, storage: str, shape: tuple[int, ...]) -> None:
        """A contiguous tensor that has a storage to itself: the call that makes it again."""
        self.known(b"ctorch._utils\n_rebuild_tensor_v2\n")
        self.put(b"((")
        self.known(_text("storage"))
        self.known(f"ctorch\n{storage}\n".encode())
        self.text(key)
        self.known(_text("cpu"))
        self.integer(int(np.prod(shape, dtype=np.int64)))
        self.number(b"t")
        self.put(b"Q")
        self.integer(0)
        self.integers(shape)
        self.integers(tuple(_strides(shape)))
        self.put(b"\x89")
        self.empty_ordered_dict()
        self.number(b"t")
        self.number(b"R")


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + struct.pack("<L", len(encoded)) + encoded


def _strides(shape: tuple[int, ...]) -> Iterator[int]:
    """Of a contiguous tensor, in elements; torch counts a side of 0 as one of 1."""
    for axis in range(len(shape)):
        yield int(np.prod([max(side, 1) for side in shape[axis + 1 :]], dtype=np.int64))
