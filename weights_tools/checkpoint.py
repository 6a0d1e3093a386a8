"""Reads checkpoints of other libraries: PyTorch's two formats and safetensors.

Neither torch nor Keras is imported, nothing in a file is executed, and tensors are views of the
mapped file: reading costs no memory beyond the pages that are then looked at.
"""

import json
import math
import mmap
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.torch_pickle import (
    LEGACY_MAGIC,
    FormatError,
    StorageRef,
    TensorRef,
    numpy_dtype,
    read_legacy,
    read_zip,
    tensor_view,
)

# Where training scripts put the state dict, in the order of preference.
_WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "model",
    "model_state",
    "net",
    "network",
    "model_ema",
    "state_dict_ema",
    "ema_state_dict",
    "ema",
)
# What DataParallel and torch.compile put before every name.
_PREFIXES = ("module.", "_orig_mod.")

_MAX_HEADER_BYTES = 100_000_000
_SAFETENSORS_DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}

_ZIP_START = b"PK\x03\x04"
_MAGIC_BYTES = LEGACY_MAGIC.to_bytes(10, "little")
_OTHER_FILES = {
    b"\xff\xd8\xff": "a JPEG picture",
    b"\x89PNG": "a PNG picture",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip archive",
    b"<": "an HTML or XML page",
    b"version https://git-lfs": "a Git LFS pointer, the file itself was not downloaded",
    b"\x80": "a pickle that torch.save did not write",
}

# What parsing damaged bytes raises in the standard library and numpy.
_DAMAGE = (
    ValueError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


class CheckpointError(ValueError):
    """A checkpoint can't be read; the message names the file and the reason."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of a file, by name, in the file's order.

    Args:
        path: the file.
        format: "torch zip", "torch legacy" or "safetensors".
        tensors: read-only views of the mapped file.
        metadata: what the header of a safetensors file says about it.
    """

    path: Path
    format: str
    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, str]


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads a `.pth`, `.pt`, `.bin` or `.safetensors` file, whatever its suffix says.

    A state dict inside a training script's dict is found, values beside the tensors are ignored,
    and a prefix that all names share because of DataParallel or torch.compile is taken off.

    Raises:
        CheckpointError: for whatever is wrong with the file.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path}: is a directory, not a checkpoint")
    if not path.is_file():
        reason = "is not a regular file" if path.exists() else "no such file"
        raise CheckpointError(f"{path}: {reason}")
    try:
        kind, tensors, metadata = _read(path)
        return Checkpoint(path, kind, _strip_prefixes(tensors), metadata)
    except FormatError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        reason = str(error) or type(error).__name__
        raise CheckpointError(f"{path}: is damaged or truncated ({reason})") from error


def _read(path: Path) -> tuple[str, dict[str, NDArray[Any]], dict[str, str]]:
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise FormatError("is empty")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        start = data[:512]
        if start.startswith(_ZIP_START):
            kind, contents = "torch zip", read_zip(file, data)
        elif start.startswith(b"\x80") and _MAGIC_BYTES in start[:32]:
            kind, contents = "torch legacy", read_legacy(data)
        elif start[257:262] == b"ustar":
            raise FormatError("is a tar archive: torch's very first format is not supported")
        elif start[8:9] == b"{":
            return "safetensors", *_read_safetensors(data)
        else:
            what = [name for prefix, name in _OTHER_FILES.items() if start.startswith(prefix)]
            raise FormatError(", ".join(["is not a checkpoint", *what]))
        # A compressed archive is read here, so the file must still be open.
        tensors = {
            name: tensor_view(tensor, contents.find_storage(tensor.storage))
            for name, tensor in _find_tensors(contents.tree).items()
        }
    return kind, tensors, {}


def _find_tensors(tree: object) -> dict[str, TensorRef]:
    """Returns the tensors of a pickled state dict, which may lie one level down."""
    found = _tensors_of(tree)
    if isinstance(tree, dict):
        inner = (_tensors_of(tree.get(key)) for key in _WRAPPERS)
        found = next(filter(None, inner), found)
    if found:
        return found
    match tree:
        case dict():
            keys = ", ".join(repr(key)[:40] for key in list(tree)[:8])
            what = f"a dict with the keys {keys}" if tree else "an empty dict"
        case TensorRef() | StorageRef():
            what = "a single tensor, without a name"
        case _:
            what = f"an object of type {type(tree).__name__}"
    raise FormatError(f"holds no state dict: found {what}")


def _tensors_of(tree: object) -> dict[str, TensorRef]:
    if not isinstance(tree, dict):
        return {}
    tensors = {name: value for name, value in tree.items() if isinstance(value, TensorRef)}
    for name in tensors:
        if not isinstance(name, str):
            raise FormatError(f"has a tensor under the key {name!r:.40}, not a name")
    return tensors


def _strip_prefixes(tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    for prefix in _PREFIXES * 2:  # either may be outside
        if all(name.startswith(prefix) and name != prefix for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _read_safetensors(data: mmap.mmap) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    start = 8 + int.from_bytes(data[:8], "little")
    if start > len(data):
        raise FormatError("is truncated: it ends within the header")
    if start > _MAX_HEADER_BYTES:
        raise FormatError("has a header over 100 MB: refused")
    try:
        header = json.loads(data[8:start].decode(), object_pairs_hook=_without_duplicates)
    except ValueError as error:
        raise FormatError(f"its header is damaged ({error})") from error
    if not isinstance(header, dict):
        raise FormatError("its header is not a JSON object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise FormatError("the metadata in its header are not strings by name")

    everything = np.frombuffer(data, np.uint8)[start:]
    tensors: dict[str, NDArray[Any]] = {}
    position = 0
    entries = [_parse_entry(name, entry) for name, entry in header.items()]
    # By the place in the file, where each tensor must begin as the last one ends: so none overlap.
    for begin, end, name, dtype, shape in sorted(entries, key=lambda entry: entry[:2]):
        if end > len(everything):
            raise FormatError(f"is truncated: it ends before the end of {name!r}")
        if begin != position or end - begin != math.prod(shape) * dtype.itemsize:
            raise FormatError(
                f"tensor {name!r} of shape {shape} and dtype {dtype} should not be at bytes "
                f"{begin} to {end}, behind a tensor that ends at {position}"
            )
        tensors[name] = everything[begin:end].view(dtype).reshape(shape)
        position = end
    if not tensors:
        raise FormatError("holds no tensors")
    if position != len(everything):
        raise FormatError(f"has {len(everything) - position} bytes behind its last tensor")
    return tensors, metadata


def _parse_entry(name: str, entry: object) -> tuple[int, int, str, np.dtype[Any], tuple[int, ...]]:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]} if all(
            type(n) is int and n >= 0 for n in (begin, end, *shape)
        ):
            if dtype not in _SAFETENSORS_DTYPES:
                raise FormatError(f"tensor {name!r} has dtype {dtype!r}: not supported")
            return begin, end, name, numpy_dtype(_SAFETENSORS_DTYPES[dtype]), tuple(shape)
    raise FormatError(f"its header does not describe tensor {name!r} as it should")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a name occurs twice")
    return result
