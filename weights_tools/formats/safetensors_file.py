"""Reads safetensors: a JSON header that says where each tensor is, then the tensors.

By hand rather than by the safetensors package: tensors are views of the mapped file, bfloat16 and
float8 need no torch, and a hostile header is limited in size and refused by name.
"""

import json
import math
import mmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.tensors import MAX_DIMENSIONS, MAX_INTEGER, FormatError, numpy_dtype

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "C64": "complex64",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
# A thousand tensors take 100 kB. Parsed JSON can take twenty times the memory of its text.
_MAX_HEADER_BYTES = 4 << 20


def read_safetensors(data: mmap.mmap) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Returns the tensors, as views in the file's order, and the header's metadata.

    Raises:
        FormatError: If the file is invalid.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    if start > len(data):
        raise FormatError("is truncated: it ends within the header")
    if start > _MAX_HEADER_BYTES:
        raise FormatError(f"has a header over {_MAX_HEADER_BYTES >> 20} MiB: refused")
    try:
        header = json.loads(data[8:start].decode(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"its header is damaged ({error})") from error
    if not isinstance(header, dict):
        raise FormatError("its header is not a JSON object")
    metadata = _parse_metadata(header.pop("__metadata__", {}))

    everything = np.frombuffer(data, np.uint8)[start:]
    tensors: dict[str, NDArray[Any]] = {}
    position = 0
    entries = [_parse_entry(name, entry) for name, entry in header.items()]
    # Each tensor must begin where the one before it ends, so none overlap.
    for begin, end, name, dtype, shape in sorted(entries, key=lambda entry: entry[:2]):
        if end > len(everything):
            raise FormatError(f"is truncated: it ends before the end of {name!r}")
        if begin != position or end - begin != math.prod(shape) * dtype.itemsize:
            raise FormatError(
                f"tensor {name!r} of shape {shape} and dtype {dtype} should not be at bytes "
                f"{begin} to {end}, after a tensor that ends at {position}"
            )
        tensors[name] = everything[begin:end].view(dtype).reshape(shape)
        position = end
    if not tensors:
        raise FormatError("holds no tensors")
    if position != len(everything):
        raise FormatError(f"has {len(everything) - position} bytes after its last tensor")
    return tensors, metadata


def _parse_metadata(metadata: object) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError("the metadata in its header is not a JSON object of strings")
    try:
        "".join([*metadata, *metadata.values()]).encode()
    except UnicodeEncodeError:  # JSON can encode half of a surrogate pair
        raise FormatError("the metadata in its header is not valid Unicode") from None
    return metadata


def _parse_entry(name: str, entry: object) -> tuple[int, int, str, np.dtype[Any], tuple[int, ...]]:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]} if len(
            shape
        ) <= MAX_DIMENSIONS and all(
            type(n) is int and 0 <= n < MAX_INTEGER for n in (begin, end, *shape)
        ):
            if dtype not in DTYPES:
                raise FormatError(f"tensor {name!r} has dtype {dtype!r}: not supported")
            return begin, end, name, numpy_dtype(DTYPES[dtype]), tuple(shape)
    raise FormatError(f"its header does not describe tensor {name!r} correctly")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result
