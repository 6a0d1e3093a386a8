"""Interprets the pickles that `torch.save` writes, and runs nothing that they ask for.

A pickle is a program. This interpreter is by hand, because it is small enough to be seen to be
safe: the stack holds scalars, plain containers and three kinds of records, never a callable or a
class; an opcode without a `case` is refused by name, before its argument is read; a global is a
name looked up in a table. The standard `pickle.Unpickler`, even with `find_class` overridden, lets
BUILD set attributes on any object, answers EXT from a process-wide cache without asking, sizes its
memo by an index that the file chooses, and overflows the C stack on a deeply nested tuple as a key.
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

# Each tensor takes about 160 bytes and 40 opcodes. A pickle can take about a hundred bytes of
# memory per opcode, and four times its own length as text.
MAX_PICKLE_BYTES = 16 << 20
_MAX_OPCODES = 500_000
# torch names each class once and then refers to it by memo; reading a name is slow.
_MAX_NAMED = 100_000
PICKLE_TOO_LONG = f"its pickle is over {MAX_PICKLE_BYTES >> 20} MiB: refused"

# Without LONG4: hashing an integer of many megabytes again and again would take forever.
_LITERALS = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
    | {"BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
    | {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
)
_OPCODES = {opcode.code.encode("latin-1"): opcode for opcode in pickletools.opcodes}
_TUPLE_SIZES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Stream:
    """Reads a buffer from its start, up to the size limit of a pickle."""

    def __init__(self, buffer: mmap.mmap | bytes) -> None:
        self.position = 0
        self._buffer = buffer

    def read(self, count: int) -> bytes:
        """Returns the next bytes, fewer at the end of the buffer."""
        if self.position + count > MAX_PICKLE_BYTES:
            raise FormatError(PICKLE_TOO_LONG)
        chunk = self._buffer[self.position : self.position + count]
        self.position += len(chunk)
        return chunk

    def read_line(self) -> str:
        """Returns the text up to the next line break, which is consumed."""
        end = self._buffer.find(b"\n", self.position, MAX_PICKLE_BYTES)
        if end < 0:
            raise FormatError("is truncated: it ends within its pickle")
        return self.read(end + 1 - self.position)[:-1].decode()

    def read_argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        """Returns the argument of an opcode that has one."""
        assert opcode.arg is not None, opcode.name
        return opcode.arg.reader(cast(BinaryIO, self))


class Unpickler:
    """Interprets the opcodes that describe tensors in plain containers; refuses all others.

    Only the binary protocols 2 to 5 are supported, which are all that torch writes. `storages`
    collects the storages that were referred to, by key.
    """

    def __init__(self) -> None:
        self.storages: dict[str, StorageRef] = {}

    def load(self, stream: Stream) -> object:
        """Returns the object that the next pickle in the stream describes.

        Raises:
            FormatError: If the pickle contains more than tensors in plain containers.
            ValueError, LookupError: If the pickle is damaged.
        """
        stack: list[Any] = []
        below: list[list[Any]] = []  # the stack at each open MARK
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
                raise FormatError(f"its pickle is damaged: {code!r} is not an opcode")
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
                    # Not by pickletools, which treats backslashes in a name as escapes.
                    names = [stream.read_line(), stream.read_line()]
                    stack.append(find_global(".".join(names)))
                case "STACK_GLOBAL":
                    names = [stack.pop(), stack.pop()]
                    if not all(isinstance(part, str) for part in names):
                        raise FormatError("its pickle names a global by a value, not a string")
                    stack.append(find_global(f"{names[1]}.{names[0]}"))
                case "REDUCE":
                    arguments = stack.pop()
                    stack.append(rebuild(stack.pop(), arguments))
                case "BINPERSID":
                    stack.append(self._remember(describe_storage(stack.pop())))
                case "BUILD":
                    state = stack.pop()
                    # torch sets a module's version numbers on the dict; they are not weights.
                    if not isinstance(stack[-1], dict) or not isinstance(state, dict):
                        raise FormatError("its pickle sets the state of an object (BUILD): refused")
                    if state.keys() != {"_metadata"}:
                        extra = sorted(repr(key)[:60] for key in state.keys() - {"_metadata"})
                        raise FormatError(f"its pickle sets the attributes {extra}: refused")
                case "INST":  # a global and a call in one; torch never writes it
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
            raise FormatError(f"storage {ref.key[:60]} has two different descriptions")
        return ref


def _extend(target: object, items: list[Any]) -> None:
    if not isinstance(target, list):
        raise FormatError("its pickle is damaged: it appends to something that is not a list")
    target.extend(items)
