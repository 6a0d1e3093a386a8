"""Reads files of `torch.save`, in both of its formats.

Both keep the numbers outside the pickle, which only describes them: a `TensorRef` is one such
description, and `TorchFile.array` finds its numbers in the mapped file.
"""

import functools
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.tensors import (
    FormatError,
    StorageRef,
    TensorRef,
    numpy_dtype,
    tensor_view,
)
from weights_tools.formats.torch_format.unpickler import (
    MAX_PICKLE_BYTES,
    PICKLE_TOO_LONG,
    Stream,
    Unpickler,
)
from weights_tools.formats.zip_archive import ZipArchive

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001


@dataclass(frozen=True, slots=True)
class TorchFile:
    """The object in a file, and access to its storages.

    Args:
        tree: The pickled object, with a `TensorRef` in place of each tensor.
        storage: Returns the bytes of a storage, read-only and little-endian.
        swapped: Whether the file is big-endian.
    """

    tree: object
    storage: Callable[[StorageRef], NDArray[np.uint8]]
    swapped: bool = False

    def array(self, tensor: TensorRef) -> NDArray[Any]:
        """Returns a tensor as a view of its storage.

        Raises:
            FormatError: If the storage is damaged, missing or too short.
        """
        wide = tensor.dtype != tensor.storage.dtype and numpy_dtype(tensor.dtype).itemsize > 1
        if self.swapped and wide:
            # The storage does not tell the width of these numbers, and torch does not swap them.
            raise FormatError(f"holds {tensor.dtype} numbers in big-endian order: not supported")
        return tensor_view(tensor, self.storage(tensor.storage))


def read_legacy(data: mmap.mmap) -> TorchFile:
    """Reads the format of torch before 1.6: five pickles, then each storage's count and bytes.

    The numbers are always little-endian, even if the third pickle says that the machine was not.

    Raises:
        FormatError: If the file is invalid.
    """
    stream = Stream(data)
    unpickler = Unpickler()
    if unpickler.load(stream) != LEGACY_MAGIC or unpickler.load(stream) != _LEGACY_PROTOCOL:
        raise FormatError("has a magic number or protocol that torch.save does not write")
    unpickler.load(stream)
    tree = unpickler.load(stream)
    keys = unpickler.load(stream)
    if not isinstance(keys, list):
        raise FormatError("has no list of storages after its pickle")

    everything = np.frombuffer(data, np.uint8)
    found: dict[StorageRef, NDArray[np.uint8]] = {}
    position = stream.position
    for key in keys:
        ref = unpickler.storages.get(key) if isinstance(key, str) else None
        if ref is None:
            raise FormatError("has a storage that no tensor refers to")
        count = int.from_bytes(data[position : position + 8], "little")
        start = position + 8
        position = start + ref.size
        if position > len(data):
            raise FormatError("is truncated: it ends within its storages")
        if count != ref.count:
            raise FormatError(f"storage {key} has {count} elements and should have {ref.count}")
        found[ref] = everything[start:position]

    def storage(ref: StorageRef) -> NDArray[np.uint8]:
        if ref not in found:
            raise FormatError(f"storage {ref.key} is missing")
        return found[ref]

    return TorchFile(tree, storage)


def read_zip(data: mmap.mmap, verify: bool = False) -> TorchFile:
    """Reads the zip format of torch 1.6 and later.

    Args:
        data: The mapped file.
        verify: Whether to compare storages with their checksums, which reads all of them.

    Raises:
        FormatError: If the file is invalid.
    """
    archive = ZipArchive(data, verify)
    names = archive.names
    pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise FormatError(
            f"is a zip archive with {len(pickles) or 'no'} data.pkl, not a torch.save checkpoint"
        )
    root = pickles[0].removesuffix("data.pkl")
    if any(name.startswith((f"{root}constants.pkl", f"{root}code/")) for name in names):
        raise FormatError("is a TorchScript archive, which is a program: save its state_dict()")

    swapped = _is_big_endian(archive, f"{root}byteorder")
    if archive.size(pickles[0]) > MAX_PICKLE_BYTES:
        raise FormatError(PICKLE_TOO_LONG)
    pickle = archive.content(pickles[0], verify=True).tobytes()
    tree = Unpickler().load(Stream(pickle))

    @functools.cache
    def storage(ref: StorageRef) -> NDArray[np.uint8]:
        name = f"{root}data/{ref.key}"
        dtype = numpy_dtype(ref.dtype)
        if archive.size(name) != ref.size:  # checked before decompressing
            raise FormatError(
                f"storage {ref.key[:60]} has {archive.size(name)} bytes and should have "
                f"{ref.count} times {dtype.itemsize}"
            )
        content = archive.content(name)
        return _byteswap(content, dtype) if swapped else content

    return TorchFile(tree, storage, swapped)


def _is_big_endian(archive: ZipArchive, name: str) -> bool:
    # Written since torch 2.1. Before that, only files of little-endian machines were portable.
    if name not in archive.names:
        return False
    order = archive.content(name, verify=True)[:16].tobytes()
    if order not in (b"little", b"big"):
        raise FormatError(f"its byte order is {order!r}, neither 'little' nor 'big'")
    return order == b"big"


def _byteswap(content: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Returns a copy with the bytes of each number reversed."""
    width = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    result = content.reshape(-1, width)[:, ::-1].reshape(-1)
    result.flags.writeable = False
    return result
