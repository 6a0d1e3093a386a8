"""Mutates pickles by opcode, because mutation by byte hardly ever leaves a valid pickle."""

import contextlib
import pickletools
import random
import sys
from pathlib import Path

from weights_tools.formats.torch_format import globals as torch_globals

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from crafted import ORDERED_DICT, STORAGE_ID, tensor, text

_NUMBERS = (b"K\x00", b"K\x01", b"K\x02", b"J\xff\xff\xff\xff", b"\x8a\x08" + b"\xff" * 7 + b"\x7f")
_TEXTS = ("a", "module.a", "state_dict", "_metadata", "storage", "0", "cpu", "")
PIECES = (
    *(opcode.code.encode("latin-1") for opcode in pickletools.opcodes),
    *(
        b"c" + b"\n".join(part.encode() for part in name.rsplit(".", 1)) + b"\n"
        for name in torch_globals.NAMES
    ),
    *(b"\x8a\x09" + bytes(8) + b"\x01", b"G?\xf0" + bytes(6), b"\x8c\x05torch\x8c\x04Size\x93"),
    *_NUMBERS,
    *map(text, _TEXTS),
    *(
        STORAGE_ID,
        STORAGE_ID + b"Q",
        tensor(),
        ORDERED_DICT,
        b"K\x02\x85",
        b")R",
        b"h\x00",
        b"q\x00",
    ),
)
"""The pieces to insert: opcodes, allowed names, and the structures that torch writes."""


def mutate(pickle: bytes, source: random.Random) -> bytes:
    """Returns the pickle with some opcodes removed, inserted, repeated or replaced."""
    parts = _opcodes(pickle)
    for _ in range(source.choice((1, 1, 2, 4))):
        place = source.randrange(len(parts) + 1)
        other = source.randrange(len(parts) + 1)
        match source.randrange(4):
            case 0:
                parts.insert(place, source.choice(PIECES))
            case 1:
                del parts[place : place + 1]
            case 2:
                parts[place:place] = parts[other : other + source.randrange(1, 8)]
            case 3:
                parts[place : place + 1] = [source.choice(PIECES)]
    return b"".join(parts)


def _opcodes(pickle: bytes) -> list[bytes]:
    """Splits a pickle into opcodes; any invalid rest is the last part."""
    starts = []
    with contextlib.suppress(ValueError):
        starts.extend(start for _, _, start in pickletools.genops(pickle) if start is not None)
    starts = starts or [0]
    return [pickle[a:b] for a, b in zip(starts, [*starts[1:], len(pickle)], strict=True)]
