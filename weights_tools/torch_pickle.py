"""Reads what `torch.save` wrote, in both of its formats, and runs nothing that the file asks for.

A pickle is a program. This module interprets it with a machine of its own instead of a restricted
`pickle.Unpickler`, because its safety then shows in its size: the stack holds scalars, plain
containers and the three records below, never a callable or a class; an opcode without a `case` is
refused by name, before its argument is read; a global is a name looked up in a table. The standard
unpickler, even with `find_class` overridden, still lets BUILD set attributes on whatever is on the
stack, answers EXT from a process-wide cache without asking, sizes its memo by an index that the
file chooses, and hashes tuples nested deeply enough to overflow the C stack.

Both formats keep the numbers outside the pickle, which only describes them: `TensorRef` is such a
description, and `tensor_view` turns one into an array over the mapped file.
"""

import functools
import mmap
import pickletools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001

# A state dict of a thousand tensors takes 150 kB and 30 000 opcodes.
_MAX_PICKLE_BYTES = 64 << 20
_MAX_OPCODES = 2_000_000
_PICKLE_TOO_LONG = f"its pickle is over {_MAX_PICKLE_BYTES >> 20} MiB: refused"

# Weights hardly compress. An archive that inflates further than this is built to fill the memory.
_MAX_INFLATED_BYTES = 64 << 20
_MAX_INFLATION = 20

_STORAGE_DTYPES = {
    "torch.DoubleStorage": "float64",
    "torch.FloatStorage": "float32",
    "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
    "torch.storage.UntypedStorage": "uint8",
}

# Training scripts keep the dtype beside the weights.
_DTYPE_GLOBALS = frozenset(f"torch.{name}" for name in _STORAGE_DTYPES.values())

# Not LONG4: hashing an integer of many megabytes, again and again, takes for ever.
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
    | {"BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_MAX_DIMENSIONS = 32
_TUPLE_SIZES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class FormatError(ValueError):
    """The file is not what it should be, or asks for what is not allowed."""


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A run of `count` numbers of one dtype, found in the file under `key`."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A strided view of a storage; offset and strides count elements."""

    storage: StorageRef
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Global:
    """The name of an allowed class or function, standing in for it on the stack."""

    name: str


@dataclass(frozen=True, slots=True)
class TorchFile:
    """What a file describes, and where its storages are.

    Args:
        tree: the pickled object, with a `TensorRef` in place of each tensor.
        find_storage: gives the elements of a storage, as a read-only array of one dimension.
    """

    tree: object
    find_storage: Callable[[StorageRef], NDArray[Any]]


@functools.cache
def numpy_dtype(name: str) -> np.dtype[Any]:
    """Returns the little-endian dtype of a name such as "float32" or "bfloat16"."""
    if name == "bfloat16":
        try:
            import ml_dtypes
        except ImportError:
            raise FormatError("holds bfloat16 numbers: `pip install ml-dtypes`") from None
        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name).newbyteorder("<")


def tensor_view(tensor: TensorRef, storage: NDArray[Any]) -> NDArray[Any]:
    """Returns the tensor as a view of its storage's elements; nothing is copied.

    Raises:
        FormatError: when it reaches outside its storage.
    """
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
    width = storage.dtype.itemsize
    steps = tuple(step * width for step in strides)
    return np.ndarray(sizes, storage.dtype, storage, offset * width, steps)


def read_legacy(data: mmap.mmap) -> TorchFile:
    """Reads the format of torch before 1.6: five pickles, then each storage's count and bytes."""
    stream = _Stream(data)
    unpickler = _Unpickler()
    if unpickler.load(stream) != LEGACY_MAGIC or unpickler.load(stream) != _LEGACY_PROTOCOL:
        raise FormatError("is not in the known version of torch's older format")
    # The machine that wrote the file describes itself. Storages are little-endian even where that
    # machine was not, so there is nothing to learn from it.
    unpickler.load(stream)
    tree = unpickler.load(stream)
    keys = unpickler.load(stream)
    if not isinstance(keys, list):
        raise FormatError("has no list of storages behind its pickle")

    everything = np.frombuffer(data, np.uint8)
    found: dict[StorageRef, NDArray[Any]] = {}
    position = stream.position
    for key in keys:
        ref = unpickler.storages.get(key) if isinstance(key, str) else None
        if ref is None:
            raise FormatError("has a storage that no tensor refers to")
        count = int.from_bytes(data[position : position + 8], "little")
        start = position + 8
        position = start + ref.count * numpy_dtype(ref.dtype).itemsize
        if position > len(data):
            raise FormatError("is truncated: it ends within its storages")
        if count != ref.count:
            raise FormatError(f"storage {key} has {count} elements and should have {ref.count}")
        found[ref] = everything[start:position].view(numpy_dtype(ref.dtype))

    def find_storage(ref: StorageRef) -> NDArray[Any]:
        if ref not in found:
            raise FormatError(f"storage {ref.key} is missing")
        return found[ref]

    return TorchFile(tree, find_storage)


def read_zip(file: BinaryIO, data: mmap.mmap) -> TorchFile:
    """Reads the zip format of torch 1.6 and later.

    Args:
        file: the open file; storages of a compressed archive are read from it later on.
        data: the same file, mapped.
    """
    try:
        archive = zipfile.ZipFile(file)
    except zipfile.BadZipFile as error:
        raise FormatError(f"is a truncated or damaged zip archive ({error})") from error
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise FormatError(
            f"is a zip archive with {len(pickles) or 'no'} data.pkl, not a checkpoint of torch.save"
        )
    root = pickles[0].removesuffix("data.pkl")
    if any(name.startswith((f"{root}constants.pkl", f"{root}code/")) for name in entries):
        raise FormatError("is a TorchScript archive, a program: save its state_dict() instead")

    everything = np.frombuffer(data, np.uint8)
    inflated = 0

    def read_entry(name: str, limit: int) -> NDArray[np.uint8]:
        """Returns an entry's bytes, mapped where it is stored, up to `limit` of them."""
        nonlocal inflated
        entry = entries.get(root + name)
        if entry is None:
            raise FormatError(f"has no entry {root}{name}")
        if entry.flag_bits & 1:
            raise FormatError(f"its entry {entry.filename} is encrypted")
        if entry.compress_type == zipfile.ZIP_DEFLATED:
            inflated += min(limit, entry.file_size)
            if inflated > _MAX_INFLATED_BYTES + _MAX_INFLATION * len(data):
                raise FormatError("inflates to many times its size: refused as a zip bomb")
            with archive.open(entry) as stream:
                return np.frombuffer(stream.read(limit), np.uint8)
        if entry.compress_type != zipfile.ZIP_STORED:
            raise FormatError(f"its entry {entry.filename} is compressed in an unusual way")
        # The local header repeats the name, and has an extra field of its own that aligns the
        # data. It has no sizes: torch writes those behind the data and into the directory.
        header = data[entry.header_offset : entry.header_offset + 30]
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        start = entry.header_offset + 30 + lengths
        end = start + min(limit, entry.file_size)
        if header[:4] != b"PK\x03\x04" or end > len(data):
            raise FormatError(f"its entry {entry.filename} is damaged")
        return everything[start:end]

    # Torch says so since 2.1; before, only little-endian machines wrote files anyone could read.
    if f"{root}byteorder" in entries:
        order = read_entry("byteorder", 16).tobytes()
        if order != b"little":
            raise FormatError(f"its byte order is {order.decode('latin-1')!r}; only 'little' works")

    if entries[pickles[0]].file_size > _MAX_PICKLE_BYTES:
        raise FormatError(_PICKLE_TOO_LONG)
    tree = _Unpickler().load(_Stream(read_entry("data.pkl", _MAX_PICKLE_BYTES).tobytes()))

    @functools.cache
    def find_storage(ref: StorageRef) -> NDArray[Any]:
        dtype = numpy_dtype(ref.dtype)
        content = read_entry(f"data/{ref.key}", ref.count * dtype.itemsize)
        if len(content) != ref.count * dtype.itemsize:
            raise FormatError(
                f"storage {ref.key} has {len(content)} bytes and should have {ref.count} "
                f"times {dtype.itemsize}"
            )
        return content.view(dtype)

    return TorchFile(tree, find_storage)


class _Stream:
    """Reads a buffer from its start, and no further than a pickle may reach."""

    def __init__(self, buffer: mmap.mmap | bytes) -> None:
        self.position = 0
        self._buffer = buffer

    def read(self, count: int) -> bytes:
        if self.position + count > _MAX_PICKLE_BYTES:
            raise FormatError(_PICKLE_TOO_LONG)
        chunk = self._buffer[self.position : self.position + count]
        self.position += len(chunk)
        return chunk

    def read_line(self) -> str:
        end = self._buffer.find(b"\n", self.position, _MAX_PICKLE_BYTES)
        if end < 0:
            raise FormatError("is truncated: it ends within its pickle")
        return self.read(end + 1 - self.position)[:-1].decode()

    def read_argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        assert opcode.arg is not None, opcode.name
        return opcode.arg.reader(cast(BinaryIO, self))


class _Unpickler:
    """Interprets the opcodes that describe tensors in plain containers; refuses all others.

    Only the binary protocols, 2 to 5, are known: torch writes no other. `storages` collects the
    storages met, by key.
    """

    def __init__(self) -> None:
        self.storages: dict[str, StorageRef] = {}

    def load(self, stream: _Stream) -> object:
        """Returns the object that the next pickle in the stream describes.

        Raises:
            FormatError: for anything that describes more than tensors in plain containers.
            ValueError, LookupError: when the pickle is damaged.
        """
        stack: list[Any] = []
        below: list[list[Any]] = []  # what was on the stack at each open MARK
        memo: dict[int, Any] = {}
        opcodes = 0
        while True:
            code = stream.read(1)
            if not code:
                raise FormatError("is truncated: it ends within its pickle")
            opcodes += 1
            if opcodes > _MAX_OPCODES:
                raise FormatError(f"its pickle has over {_MAX_OPCODES} opcodes: refused")
            opcode = _OPCODES.get(code)
            if opcode is None:
                raise FormatError(f"its pickle is damaged: {code!r} is no opcode")
            name = opcode.name
            if name in _LITERALS:
                stack.append(stream.read_argument(opcode))
                continue
            match name:
                case "BINPUT" | "LONG_BINPUT":
                    memo[stream.read_argument(opcode)] = stack[-1]
                case "MEMOIZE":
                    memo[len(memo)] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[stream.read_argument(opcode)])
                case "MARK":
                    below.append(stack)
                    stack = []
                case "TUPLE":
                    items, stack = stack, below.pop()
                    stack.append(tuple(items))
                case "EMPTY_TUPLE" | "TUPLE1" | "TUPLE2" | "TUPLE3":
                    items = [stack.pop() for _ in range(_TUPLE_SIZES[name])]
                    stack.append(tuple(reversed(items)))
                case "POP":
                    stack.pop()
                case "NONE":
                    stack.append(None)
                case "NEWTRUE" | "NEWFALSE":
                    stack.append(name == "NEWTRUE")
                case "EMPTY_LIST":
                    stack.append([])
                case "EMPTY_DICT":
                    stack.append({})
                case "APPEND":
                    item = stack.pop()
                    _extend(stack[-1], [item])
                case "APPENDS":
                    items, stack = stack, below.pop()
                    _extend(stack[-1], items)
                case "SETITEM":
                    items = [stack.pop(), stack.pop()]
                    _update(stack[-1], [(items[1], items[0])])
                case "SETITEMS":
                    items, stack = stack, below.pop()
                    _update(stack[-1], list(zip(items[::2], items[1::2], strict=True)))
                case "GLOBAL" | "INST":
                    # Not by pickletools, which takes backslashes in a name for escapes.
                    names = [stream.read_line(), stream.read_line()]
                    stack.append(_find_global(".".join(names), name))
                case "STACK_GLOBAL":
                    names = [stack.pop(), stack.pop()]
                    if not all(isinstance(part, str) for part in names):
                        raise FormatError("its pickle names a global by something not a string")
                    stack.append(_find_global(f"{names[1]}.{names[0]}", name))
                case "REDUCE":
                    arguments = stack.pop()
                    stack.append(_rebuild(stack.pop(), arguments))
                case "BINPERSID":
                    stack.append(self._describe_storage(stack.pop()))
                case "BUILD":
                    state = stack.pop()
                    # A module's versions, which torch hangs onto the dict: not part of the weights.
                    if not isinstance(stack[-1], dict) or not isinstance(state, dict):
                        raise FormatError("its pickle sets the state of an object (BUILD): refused")
                    if state.keys() != {"_metadata"}:
                        extra = sorted(repr(key)[:60] for key in state.keys() - {"_metadata"})
                        raise FormatError(f"its pickle sets the attributes {extra}: refused")
                case "PROTO" | "FRAME":
                    stream.read_argument(opcode)
                case "STOP":
                    return stack.pop()
                case _:
                    raise FormatError(f"its pickle uses the opcode {name}: refused")

    def _describe_storage(self, identifier: object) -> StorageRef:
        # The older format has a sixth item, for a storage that is a part of another one.
        if isinstance(identifier, tuple) and len(identifier) == 6 and identifier[5] is None:
            identifier = identifier[:5]
        match identifier:
            case ("storage", _Global(name), str(key), str(), count):
                dtype = _STORAGE_DTYPES.get(name)
            case _:
                raise FormatError("its pickle refers to something outside that is no storage")
        if dtype is None or type(count) is not int or count < 0:
            raise FormatError(f"storage {key[:60]} is not described as one")
        ref = StorageRef(key, dtype, count)
        if self.storages.setdefault(key, ref) != ref:
            raise FormatError(f"storage {key[:60]} is described in two ways")
        return ref


def _find_global(name: str, opcode: str) -> _Global:
    known = name in _REBUILDERS or name in _STORAGE_DTYPES or name in _DTYPE_GLOBALS
    if not known or opcode == "INST":  # which is a global and a call in one, and long out of use
        raise FormatError(
            f"its pickle asks for {name[:200]}, which no plain checkpoint needs: refused, and "
            "nothing of it was run"
        )
    return _Global(name)


def _extend(target: object, items: list[Any]) -> None:
    if not isinstance(target, list):
        raise FormatError("its pickle is damaged: it appends to something not a list")
    target.extend(items)


def _update(target: object, items: list[tuple[Any, Any]]) -> None:
    if not isinstance(target, dict):
        raise FormatError("its pickle is damaged: it sets items of something not a dict")
    for key, value in items:
        # Hashing a tuple recurses as deep as it is nested.
        if key is not None and not isinstance(key, str | bytes | int | float):
            raise FormatError(f"its pickle has a {type(key).__name__} as a key: refused")
        target[key] = value


def _rebuild(function: object, arguments: object) -> object:
    if not isinstance(function, _Global) or function.name not in _REBUILDERS:
        what = function.name if isinstance(function, _Global) else type(function).__name__
        raise FormatError(f"its pickle calls {what}: refused")
    # No function here takes more than seven. A long tuple, remembered and passed to call after
    # call, would make the time grow with the square of the file.
    if not isinstance(arguments, tuple) or len(arguments) > 8:
        raise FormatError(f"its pickle calls {function.name} with unusual arguments")
    return _REBUILDERS[function.name](function.name, arguments)


def _rebuild_tensor(name: str, arguments: tuple[Any, ...]) -> TensorRef:
    match arguments:
        case (StorageRef() as storage, offset, tuple(shape), tuple(strides), *rest) if (
            len(shape) == len(strides) <= _MAX_DIMENSIONS
        ):
            numbers = (offset, *shape, *strides)
        case _:
            raise FormatError(f"its pickle calls {name} with unusual arguments")
    if any(type(n) is not int or n < 0 for n in numbers):
        raise FormatError("a tensor's sizes, strides and offset should be integers ≥ 0")
    # Behind `requires_grad` and the hooks: marks of a tensor that is conjugated or negated lazily.
    if any(rest[2:]):
        raise FormatError("a tensor is a lazy conjugate or negative of its storage: not supported")
    return TensorRef(storage, offset, shape, strides)


def _rebuild_parameter(name: str, arguments: tuple[Any, ...]) -> TensorRef:
    match arguments:
        case (TensorRef() as tensor, bool(), _):
            return tensor
    raise FormatError(f"its pickle calls {name} with unusual arguments")


def _rebuild_dict(name: str, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    result: dict[Any, Any] = {}
    match arguments:
        case ():
            return result
        case (list(pairs),) if all(isinstance(p, list | tuple) and len(p) == 2 for p in pairs):
            _update(result, [(key, value) for key, value in pairs])
            # So that a list remembered once can't be made into a thousand dicts.
            pairs.clear()
            return result
    raise FormatError(f"its pickle calls {name} with unusual arguments")


def _rebuild_size(name: str, arguments: tuple[Any, ...]) -> tuple[int, ...]:
    match arguments:
        case (tuple(sizes),) if len(sizes) <= _MAX_DIMENSIONS and all(
            type(n) is int for n in sizes
        ):
            return sizes
    raise FormatError(f"its pickle calls {name} with unusual arguments")


_REBUILDERS: dict[str, Callable[[str, tuple[Any, ...]], object]] = {
    "collections.OrderedDict": _rebuild_dict,
    "torch.Size": _rebuild_size,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_parameter": _rebuild_parameter,
}
