"""The names that a checkpoint's pickle may use, and what each of them makes here: never a call.

PyTorch's pickles name classes and functions of torch. Each name known here stands for a record or
a plain container; no other name is looked up, and none is imported.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from weights_tools.formats.tensors import FormatError, StorageRef, TensorRef

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
# Without a storage class of their own: their tensors name the dtype, and the storage is of bytes.
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

_MAX_DIMENSIONS = 32
# So many bits that NumPy counts with. Longer integers can be chosen to share one hash.
_MAX_INTEGER = 1 << 63


@dataclass(frozen=True, slots=True)
class Global:
    """The name of an allowed class or function, standing in for it on the stack."""

    name: str


def find_global(name: str) -> Global:
    """Returns the stand-in for a class or function.

    Raises:
        FormatError: for a name that no plain checkpoint needs.
    """
    if name not in _GLOBALS:
        raise FormatError(
            f"its pickle asks for {name[:200]}, which no plain checkpoint needs: refused, and "
            "nothing of it was run"
        )
    return _GLOBALS[name]


def rebuild(function: object, arguments: object) -> object:
    """Returns what a call, REDUCE, would make.

    Raises:
        FormatError: when it calls something else, or with arguments that torch does not write.
    """
    if not isinstance(function, Global) or function.name not in _REBUILDERS:
        what = function.name if isinstance(function, Global) else type(function).__name__
        raise FormatError(f"its pickle calls {what}: refused")
    # No function here takes more than eight. A long tuple, remembered and passed to call after
    # call, would make the time grow with the square of the file.
    if not isinstance(arguments, tuple) or len(arguments) > 8:
        raise _unusual(function.name)
    return _REBUILDERS[function.name](function.name, arguments)


def describe_storage(identifier: object) -> StorageRef:
    """Returns the storage that a persistent id refers to.

    Raises:
        FormatError: when it refers to something else.
    """
    # The older format has a sixth item, for a storage that is a part of another one.
    if isinstance(identifier, tuple) and len(identifier) == 6 and identifier[5] is None:
        identifier = identifier[:5]
    match identifier:
        case ("storage", Global(name), str(key), str(), count):
            dtype = STORAGE_DTYPES.get(name)
        case _:
            raise FormatError("its pickle refers to something outside that is no storage")
    if dtype is None or type(count) is not int or not 0 <= count < _MAX_INTEGER:
        raise FormatError(f"storage {key[:60]} is not described as one")
    return StorageRef(key, dtype, count)


def update(target: object, items: list[tuple[Any, Any]]) -> None:
    """Sets items of a dict, keys that are costly to hash excepted."""
    if not isinstance(target, dict):
        raise FormatError("its pickle is damaged: it sets items of something not a dict")
    for key, value in items:
        # Hashing a tuple recurses as deep as it is nested.
        if key is not None and not isinstance(key, str | bytes | int | float):
            raise FormatError(f"its pickle has a {type(key).__name__} as a key: refused")
        if isinstance(key, int) and abs(key) >= _MAX_INTEGER:
            raise FormatError("its pickle has an integer of more than 64 bits as a key: refused")
        target[key] = value


def _unusual(name: str) -> FormatError:
    return FormatError(f"its pickle calls {name} with unusual arguments")


def _rebuild_tensor(name: str, arguments: tuple[Any, ...]) -> TensorRef:
    match arguments:
        case (StorageRef() as storage, offset, tuple(shape), tuple(strides), *rest) if (
            len(shape) == len(strides) <= _MAX_DIMENSIONS
        ):
            numbers = (offset, *shape, *strides)
        case _:
            raise _unusual(name)
    if any(type(n) is not int or not 0 <= n < _MAX_INTEGER for n in numbers):
        raise FormatError("a tensor's sizes, strides and offset should be integers ≥ 0")
    # Behind `requires_grad` and the hooks: marks of a tensor that is conjugated or negated lazily.
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
    # A fourth argument holds attributes that somebody hung onto the parameter.
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
            # So that a list remembered once can't be made into a thousand dicts.
            pairs.clear()
            return result
    raise _unusual(name)


def _rebuild_size(name: str, arguments: tuple[Any, ...]) -> tuple[int, ...]:
    match arguments:
        case (tuple(sizes),) if len(sizes) <= _MAX_DIMENSIONS and all(
            type(n) is int for n in sizes
        ):
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
"""All that a pickle may name."""
_GLOBALS = {name: Global(name) for name in NAMES}
