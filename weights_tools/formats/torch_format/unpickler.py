"""Interprets the pickles that `torch.save` writes, and runs nothing that they ask for.

A pickle is a program. This module interprets it with a machine of its own instead of a restricted
`pickle.Unpickler`, because its safety then shows in its size: the stack holds scalars, plain
containers and three kinds of records, never a callable or a class; an opcode without a `case` is
refused by name, before its argument is read; a global is a name looked up in a table. The standard
unpickler, even with `find_class` overridden, still lets BUILD set attributes on whatever is on the
stack, answers EXT from a process-wide cache without asking, sizes its memo by an index that the
file chooses, and hashes tuples nested deeply enough to overflow the C stack.
"""

import mmap
import pickletools
from typing import Any, BinaryIO, cast

from weights_tools.formats.tensors import FormatError, StorageRef
from weights_tools.formats.torch_format.globals import (
    describe_storage,
    find_global,
    rebuild,
    update,
)

# Each tensor takes some 160 bytes and 40 opcodes. A pickle can fill some hundred bytes an opcode,
# and four times its own length with text.
MAX_PICKLE_BYTES = 16 << 20
_MAX_OPCODES = 500_000
# torch names each class once and refers to it afterwards; reading a name is dear.
_MAX_NAMED = 100_000
PICKLE_TOO_LONG = f"its pickle is over {MAX_PICKLE_BYTES >> 20} MiB: refused"

# Not LONG4: hashing an integer of many megabytes, again and again, takes for ever.
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
    | {"BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_TUPLE_SIZES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Stream:
    """Reads a buffer from its start, and no further than a pickle may reach."""

    def __init__(self, buffer: mmap.mmap | bytes) -> None:
        self.position = 0
        self._buffer = buffer

    def read(self, count: int) -> bytes:
        """Returns the next bytes, fewer where the buffer ends."""
        if self.position + count > MAX_PICKLE_BYTES:
            raise FormatError(PICKLE_TOO_LONG)
        chunk = self._buffer[self.position : self.position + count]
        self.position += len(chunk)
        return chunk

    def read_line(self) -> str:
        """Returns the text up to the next line break, without it."""
        end = self._buffer.find(b"\n", self.position, MAX_PICKLE_BYTES)
        if end < 0:
            raise FormatError("is truncated: it ends within its pickle")
        return self.read(end + 1 - self.position)[:-1].decode()

    def read_argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        """Returns what stands behind an opcode that has an argument."""
        assert opcode.arg is not None, opcode.name
        return opcode.arg.reader(cast(BinaryIO, self))


class Unpickler:
    """Interprets the opcodes that describe tensors in plain containers; refuses all others.

    Only the binary protocols, 2 to 5, are known: torch writes no other. `storages` collects the
    storages met, by key.
    """

    def __init__(self) -> None:
        self.storages: dict[str, StorageRef] = {}

    def load(self, stream: Stream) -> object:
        """Returns the object that the next pickle in the stream describes.

        Raises:
            FormatError: for anything that describes more than tensors in plain containers.
            ValueError, LookupError: when the pickle is damaged.
        """
        stack: list[Any] = []
        below: list[list[Any]] = []  # what was on the stack at each open MARK
        memo: dict[int, Any] = {}
        opcodes = named = 0
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
                    update(stack[-1], [(items[1], items[0])])
                case "SETITEMS":
                    items, stack = stack, below.pop()
                    update(stack[-1], list(zip(items[::2], items[1::2], strict=True)))
                case "GLOBAL":
                    named += 1
                    if named > _MAX_NAMED:
                        raise FormatError(
                            f"its pickle has over {_MAX_NAMED} GLOBAL opcodes: refused"
                        )
                    # Not by pickletools, which takes backslashes in a name for escapes.
                    names = [stream.read_line(), stream.read_line()]
                    stack.append(find_global(".".join(names)))
                case "STACK_GLOBAL":
                    names = [stack.pop(), stack.pop()]
                    if not all(isinstance(part, str) for part in names):
                        raise FormatError("its pickle names a global by something not a string")
                    stack.append(find_global(f"{names[1]}.{names[0]}"))
                case "REDUCE":
                    arguments = stack.pop()
                    stack.append(rebuild(stack.pop(), arguments))
                case "BINPERSID":
                    stack.append(self._remember(describe_storage(stack.pop())))
                case "BUILD":
                    state = stack.pop()
                    # A module's versions, which torch hangs onto the dict: not part of the weights.
                    if not isinstance(stack[-1], dict) or not isinstance(state, dict):
                        raise FormatError("its pickle sets the state of an object (BUILD): refused")
                    if state.keys() != {"_metadata"}:
                        extra = sorted(repr(key)[:60] for key in state.keys() - {"_metadata"})
                        raise FormatError(f"its pickle sets the attributes {extra}: refused")
                case "INST":  # a global and a call in one, which torch never wrote
                    names = [stream.read_line(), stream.read_line()]
                    raise FormatError(f"its pickle calls {'.'.join(names)[:200]} by INST: refused")
                case "PROTO" | "FRAME":
                    stream.read_argument(opcode)
                case "STOP":
                    return stack.pop()
                case _:
                    raise FormatError(f"its pickle uses the opcode {name}: refused")

    def _remember(self, ref: StorageRef) -> StorageRef:
        if self.storages.setdefault(ref.key, ref) != ref:
            raise FormatError(f"storage {ref.key[:60]} is described in two ways")
        return ref


def _extend(target: object, items: list[Any]) -> None:
    if not isinstance(target, list):
        raise FormatError("its pickle is damaged: it appends to something not a list")
    target.extend(items)
