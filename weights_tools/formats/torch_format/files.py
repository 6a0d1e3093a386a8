"""Reads what `torch.save` wrote, in both of its formats.

Both keep the numbers outside the pickle, which only describes them: `TensorRef` is such a
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
    """What a file describes, and where its storages are.

    Args:
        tree: the pickled object, with a `TensorRef` in place of each tensor.
        storage: gives the bytes of a storage, read-only, each number little-endian.
        swapped: whether the file has them big-endian.
    """

    tree: object
    storage: Callable[[StorageRef], NDArray[np.uint8]]
    swapped: bool = False

    def array(self, tensor: TensorRef) -> NDArray[Any]:
        """Returns a tensor, a view of its storage.

        Raises:
            FormatError: when the storage is damaged or missing, or is too short.
        """
        wide = tensor.dtype != tensor.storage.dtype and numpy_dtype(tensor.dtype).itemsize > 1
        if self.swapped and wide:
            # Its storage does not say how wide its numbers are, and torch itself leaves them.
            raise FormatError(f"holds {tensor.dtype} numbers in big-endian order: not supported")
        return tensor_view(tensor, self.storage(tensor.storage))


def read_legacy(data: mmap.mmap) -> TorchFile:
    """Reads the format of torch before 1.6: five pickles, then each storage's count and bytes.

    Its numbers are little-endian, whatever machine wrote them and whatever its third pickle says.

    Raises:
        FormatError: for whatever is wrong with it.
    """
    stream = Stream(data)
    unpickler = Unpickler()
    if unpickler.load(stream) != LEGACY_MAGIC or unpickler.load(stream) != _LEGACY_PROTOCOL:
        raise FormatError("has another magic number or protocol than torch.save writes")
    unpickler.load(stream)
    tree = unpickler.load(stream)
    keys = unpickler.load(stream)
    if not isinstance(keys, list):
        raise FormatError("has no list of storages behind its pickle")

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
        data: the mapped file.
        verify: whether storages are compared with their checksums, which reads them.

    Raises:
        FormatError: for whatever is wrong with it.
    """
    archive = ZipArchive(data, verify)
    names = archive.names
    pickles = [name for name in names if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise FormatError(
            f"is a zip archive with {len(pickles) or 'no'} data.pkl, not a checkpoint of torch.save"
        )
    root = pickles[0].removesuffix("data.pkl")
    if any(name.startswith((f"{root}constants.pkl", f"{root}code/")) for name in names):
        raise FormatError("is a TorchScript archive, a program: save its state_dict() instead")

    swapped = _is_big_endian(archive, f"{root}byteorder")
    if archive.size(pickles[0]) > MAX_PICKLE_BYTES:
        raise FormatError(PICKLE_TOO_LONG)
    pickle = archive.content(pickles[0], verify=True).tobytes()
    tree = Unpickler().load(Stream(pickle))

    @functools.cache
    def storage(ref: StorageRef) -> NDArray[np.uint8]:
        name = f"{root}data/{ref.key}"
        dtype = numpy_dtype(ref.dtype)
        if archive.size(name) != ref.size:  # before anything is inflated
            raise FormatError(
                f"storage {ref.key[:60]} has {archive.size(name)} bytes and should have "
                f"{ref.count} times {dtype.itemsize}"
            )
        content = archive.content(name)
        return _byteswap(content, dtype) if swapped else content

    return TorchFile(tree, storage, swapped)


def _is_big_endian(archive: ZipArchive, name: str) -> bool:
    # Torch says so since 2.1; before, only little-endian machines wrote files anyone could read.
    if name not in archive.names:
        return False
    order = archive.content(name, verify=True)[:16].tobytes()
    if order not in (b"little", b"big"):
        raise FormatError(f"its byte order is {order!r}, neither 'little' nor 'big'")
    return order == b"big"


def _byteswap(content: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[np.uint8]:
    """Returns a copy with each number's bytes in the other order."""
    width = dtype.itemsize // 2 if dtype.kind == "c" else dtype.itemsize
    result = content.reshape(-1, width)[:, ::-1].reshape(-1)
    result.flags.writeable = False
    return result
