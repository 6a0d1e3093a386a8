"""Tensors as checkpoints describe them: a range of the file's numbers, with shape and strides."""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ML_DTYPES = frozenset(
    {
        "bfloat16",
        "float8_e4m3fn",
        "float8_e4m3fnuz",
        "float8_e5m2",
        "float8_e5m2fnuz",
        "float8_e8m0fnu",
    }
)


MAX_DIMENSIONS = 32
MAX_INTEGER = 1 << 63
"""NumPy's sizes have 64 bits. Longer integers can be chosen to collide in a dict."""


class CheckpointError(ValueError):
    """A checkpoint can't be read; the message names the file and the reason."""


class FormatError(ValueError):
    """The file is invalid, or asks for something that is not allowed."""


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A run of `count` numbers of one dtype, stored in the file under `key`."""

    key: str
    dtype: str
    count: int

    @property
    def size(self) -> int:
        """Size in bytes."""
        return self.count * numpy_dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A strided view of a storage; offset and strides count elements of the tensor's own dtype."""

    storage: StorageRef
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@functools.cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """Returns the little-endian dtype of a name such as "float32" or "bfloat16".

    Raises:
        FormatError: If ml_dtypes is needed and not installed.
    """
    if name in _ML_DTYPES:
        try:
            import ml_dtypes
        except ImportError:
            raise FormatError(
                f"holds {name} numbers: to read them, `pip install ml-dtypes`"
            ) from None
        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name).newbyteorder("<")


def tensor_view(tensor: TensorRef, content: NDArray[np.uint8]) -> NDArray[Any]:
    """Returns the tensor as a view of its storage's bytes.

    Raises:
        FormatError: If the tensor reaches outside its storage.
    """
    dtype = numpy_dtype(tensor.dtype)
    width = dtype.itemsize
    storage = content[: len(content) // width * width].view(dtype)
    sizes, strides, offset = tensor.shape, tensor.strides, tensor.offset
    empty = 0 in sizes
    last = offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    if offset > len(storage) or (not empty and last >= len(storage)):
        raise FormatError(
            f"a tensor of shape {sizes}, strides {strides} and offset {offset} reaches outside "
            f"its storage of {len(storage)} elements"
        )
    if empty:
        return storage[:0].reshape(sizes)
    steps = tuple(step * width for step in strides)
    return np.ndarray(sizes, dtype, storage, offset * width, steps)
