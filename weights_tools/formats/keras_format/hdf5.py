"""Untrusted HDF5 as plain arrays: only hard links, only numbers, nothing larger than the file.

h5py parses the file; the walk over it is by hand, because h5py does whatever a well-formed file
asks for: open other files, follow loops, and allocate arrays that the file hardly fills.
"""

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.tensors import FormatError, numpy_dtype

MAX_EXPANSION = 4
"""Largest ratio of the tensors' bytes to the file's; weights hardly compress."""
_MAX_DEPTH = 40
_MAX_OBJECTS = 200_000
_MAX_ATTRIBUTE_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Contents:
    """Everything in a file, by path without a leading slash; the root is the empty path."""

    groups: dict[str, dict[str, str]] = field(default_factory=dict)
    """The attributes of each group that are a single string."""
    datasets: dict[str, NDArray[Any]] = field(default_factory=dict)


class _Window(io.RawIOBase):
    """Bytes in memory as a file object for h5py; `io.BytesIO` would copy them."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._data)}
        self._position = max(0, start[whence] + offset)
        return self._position

    def readinto(self, buffer: Any) -> int:
        target = memoryview(buffer).cast("B")
        piece = self._data[self._position : self._position + len(target)]
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)


def read_hdf5(data: memoryview) -> Contents:
    """Reads everything in an HDF5 file; arrays that are stored contiguously are views of `data`.

    Raises:
        FormatError: For soft or external links, loops, values that are not numbers, and arrays
            that together are much larger than the file.
        OSError, RuntimeError, KeyError, ValueError: From h5py, for a damaged file.
    """
    contents = Contents()
    with h5py.File(_Window(data), "r") as file:
        budget = MAX_EXPANSION * len(data)
        seen: set[int] = set()
        for path, item in _walk(file, "", 0, seen):
            if isinstance(item, h5py.Group):
                contents.groups[path] = _strings(item)
                continue
            dtype = _checked_dtype(path, item)
            budget -= item.size * dtype.itemsize
            if budget < 0:
                raise FormatError(
                    f"has {len(data):,} bytes, and the shapes that it declares up to {path!r} "
                    f"take over {MAX_EXPANSION} times that: refused"
                )
            contents.datasets[path] = _array(data, item, dtype)
    return contents


def _walk(
    group: h5py.Group, path: str, depth: int, seen: set[int]
) -> Iterator[tuple[str, h5py.Group | h5py.Dataset]]:
    address = h5py.h5o.get_info(group.id).addr
    if depth > _MAX_DEPTH or address in seen or len(seen) > _MAX_OBJECTS:
        raise FormatError(f"has groups that are linked twice, or too many groups: {path!r:.80}")
    seen.add(address)
    yield path, group
    for name in group:
        below = f"{path}/{name}" if path else name
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise FormatError(f"{below!r} is a soft or external link: refused")
        item = group[name]
        if isinstance(item, h5py.Group):
            yield from _walk(item, below, depth + 1, seen)
        elif isinstance(item, h5py.Dataset):
            yield below, item
        else:
            raise FormatError(f"{below!r} is a {type(item).__name__}, not a tensor: refused")


def _strings(group: h5py.Group) -> dict[str, str]:
    found = {}
    for name in group.attrs:
        attribute = group.attrs.get_id(name)
        if attribute.shape == () and attribute.get_storage_size() <= _MAX_ATTRIBUTE_BYTES:
            value = group.attrs[name]
            if isinstance(value, bytes):
                value = value.decode()
            if isinstance(value, str):
                found[name] = value
    return found


def _checked_dtype(path: str, dataset: h5py.Dataset) -> np.dtype[Any]:
    if dataset.is_virtual or dataset.external:
        raise FormatError(f"{path!r} stores its values in another file: refused")
    if dataset.shape is None:
        raise FormatError(f"{path!r} has no values")
    dtype: np.dtype[Any] = dataset.dtype
    if dtype == np.dtype("V2") and dataset.attrs.get("dtype") == "bfloat16":
        dtype = numpy_dtype("bfloat16")  # as Keras writes it, because HDF5 has no bfloat16
    elif dtype.kind not in "fiub" or dtype.metadata:
        raise FormatError(f"{path!r} has dtype {dtype}: not supported")
    return dtype


def _array(data: memoryview, dataset: h5py.Dataset, dtype: np.dtype[Any]) -> NDArray[Any]:
    offset = dataset.id.get_offset()
    if offset is not None and dataset.id.get_create_plist().get_nfilters() == 0:
        end = offset + dataset.size * dtype.itemsize
        if end > len(data):
            raise FormatError(f"is truncated: it ends before the end of {dataset.name!r}")
        return np.frombuffer(data[offset:end], dtype).reshape(dataset.shape)
    values: NDArray[Any] = dataset[()]
    values = np.asarray(values)
    return values if values.dtype == dtype else values.view(dtype)
