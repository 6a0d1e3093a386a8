"""The names that a checkpoint's pickle may use, and the records that they become.

PyTorch's pickles name classes and functions of torch. Each name in this table stands for a record
or a plain container; any other name is refused, and none is ever imported or called.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from weights_tools.formats.tensors import (
    MAX_DIMENSIONS,
    MAX_INTEGER,
    FormatError,
    StorageRef,
    TensorRef,
)

STORAGE_DTYPES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.ComplexDoubleStorage": "complex128",
    "torch.ComplexFloatStorage": "complex64",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.storage.UntypedStorage": "uint8",
}
# Dtypes without a storage class: the tensor names the dtype, and its storage is untyped.
_BARE_DTYPES = (
    "uint16",
    "uint32",
    "uint64",
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
)
_DTYPES = {f"torch.{name}": name for name in (*STORAGE_DTYPES.values(), *_BARE_DTYPES)}


@dataclass(frozen=True, slots=True)
class Global:
    """Stands for an allowed class or function on the stack."""

    name: str


def find_global(name: str) -> Global:
    """Returns the stand-in for a class or function.

    Raises:
        FormatError: For a name that plain checkpoints do not need.
    """
    if name not in _GLOBALS:
        raise FormatError(
            f"its pickle asks for {name[:200]}, which no plain checkpoint needs: refused, and "
            "nothing was run"
        )
    return _GLOBALS[name]


def rebuild(function: object, arguments: object) -> object:
    """Returns the record for a call (REDUCE).

    Raises:
        FormatError: For other functions, or arguments that torch does not write.
    """
    if not isinstance(function, Global) or function.name not in _REBUILDERS:
        what = function.name if isinstance(function, Global) else type(function).__name__
        raise FormatError(f"its pickle calls {what}: refused")
    # No function here takes more than eight. A long tuple that is memoized and passed to many
    # calls would make the time quadratic in the size of the file.
    if not isinstance(arguments, tuple) or len(arguments) > 8:
        raise _unusual(function.name)
    return _REBUILDERS[function.name](function.name, arguments)


def describe_storage(identifier: object) -> StorageRef:
    """Returns the storage that a persistent id refers to.

    Raises:
        FormatError: If it refers to something else.
    """
    # In the legacy format a sixth item can say that the storage is part of another one.
    if isinstance(identifier, tuple) and len(identifier) == 6 and identifier[5] is None:
        identifier = identifier[:5]
    match identifier:
        case ("storage", Global(name), str(key), str(), count):
            dtype = STORAGE_DTYPES.get(name)
        case _:
            raise FormatError("its pickle has a persistent id that is not a storage")
    if dtype is None or type(count) is not int or not 0 <= count < MAX_INTEGER:
        raise FormatError(f"storage {key[:60]} has an invalid description")
    return StorageRef(key, dtype, count)


def update(target: object, items: list[tuple[Any, Any]]) -> None:
    """Sets items of a dict; refuses keys that are costly to hash."""
    if not isinstance(target, dict):
        raise FormatError("its pickle is damaged: it sets items of something that is not a dict")
    for key, value in items:
        # Hashing a nested tuple is recursive.
        if key is not None and not isinstance(key, str | bytes | int | float):
            raise FormatError(f"its pickle has a {type(key).__name__} as a key: refused")
        if isinstance(key, int) and abs(key) >= MAX_INTEGER:
            raise FormatError("its pickle has an integer of more than 64 bits as a key: refused")
        target[key] = value


def _unusual(name: str) -> FormatError:
    return FormatError(f"its pickle calls {name} with unusual arguments")


def _rebuild_tensor(name: str, arguments: tuple[Any, ...]) -> TensorRef:
    match arguments:
        case (StorageRef() as storage, offset, tuple(shape), tuple(strides), *rest) if (
            len(shape) == len(strides) <= MAX_DIMENSIONS
        ):
            numbers = (offset, *shape, *strides)
        case _:
            raise _unusual(name)
    if any(type(n) is not int or not 0 <= n < MAX_INTEGER for n in numbers):
        raise FormatError("a tensor's sizes, strides and offset should be integers ≥ 0")
    # After `requires_grad` and the hooks: flags of a tensor that is lazily conjugated or negated.
    if any(rest[2:]):
        raise FormatError("a tensor is a lazy conjugate or negative of its storage: not supported")
    return TensorRef(storage, storage.dtype, offset, shape, strides)


def _rebuild_tensor_v3(name: str, arguments: tuple[Any, ...]) -> TensorRef:
    match arguments:
        case (storage, offset, shape, strides, grad, hooks, Global(dtype), *rest) if (
            dtype in _DTYPES
        ):
            plain = _rebuild_tensor(name, (storage, offset, shape, strides, grad, hooks, *rest))
            return TensorRef(plain.storage, _DTYPES[dtype], offset, shape, strides)
    raise _unusual(name)


def _rebuild_parameter(name: str, arguments: tuple[Any, ...]) -> TensorRef:
    # A fourth argument holds attributes that were set on the parameter.
    match arguments:
        case (TensorRef() as tensor, bool(), _) | (TensorRef() as tensor, bool(), _, _):
            return tensor
    raise _unusual(name)


def _rebuild_dict(name: str, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    match arguments:
        case ():
            return result
        case (list(pairs),) if all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
            update(result, [(key, value) for key, value in pairs])
            # Or one memoized list could become a thousand dicts.
            pairs.clear()
            return result
    raise _unusual(name)


def _rebuild_size(name: str, arguments: tuple[Any, ...]) -> tuple[int, ...]:
    match arguments:
        case (tuple(sizes),) if len(sizes) <= MAX_DIMENSIONS and all(type(n) is int for n in sizes):
            return sizes
    raise _unusual(name)


_REBUILDERS: dict[str, Callable[[str, tuple[Any, ...]], object]] = {
    "collections.OrderedDict": _rebuild_dict,
    "torch.Size": _rebuild_size,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v3": _rebuild_tensor_v3,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
    "torch._utils._rebuild_parameter_with_state": _rebuild_parameter,
}
NAMES = (*_REBUILDERS, *STORAGE_DTYPES, *_DTYPES)
"""All names that a pickle may use."""
_GLOBALS = {name: Global(name) for name in NAMES}
