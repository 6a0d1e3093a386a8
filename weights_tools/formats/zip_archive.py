"""Zip archives in mapped files, read strictly and without copies.

By hand rather than by `zipfile`, whose reader accepts any archive. This one knows only what
checkpoints need, and leaves nothing to guess where two readers could see different bytes: the
directory, the entries' own headers and the descriptors after their data must agree.
"""

import mmap
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.tensors import FormatError

# The layouts of PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.3; fields that are not used are x.
_END = struct.Struct("<4s4H2LH")  # of central directory
_END_64 = struct.Struct("<4s12x2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_CENTRAL = struct.Struct("<4s4x2H4x3L3H8xL")
_LOCAL = struct.Struct("<4s22x2H")
_DESCRIPTOR, _DESCRIPTOR_64 = struct.Struct("<4s3L"), struct.Struct("<4sL2Q")

ZIP_START = b"PK\x03\x04"
_ENCRYPTED, _HAS_DESCRIPTOR = 1 << 0, 1 << 3
_STORED, _DEFLATED = 0, 8
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF

# A network of a thousand tensors has a thousand entries.
_MAX_ENTRIES = 100_000
# The highest ratio of DEFLATE.
_MAX_INFLATION = 1032
# Weights hardly compress. An archive that inflates further than this is meant to fill the memory.
_MAX_INFLATED_BYTES, _MAX_INFLATED_SHARE = 64 << 20, 4


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    flags: int
    method: int
    checksum: int
    stored_size: int
    size: int
    header: int
    """Offset of its local header."""


class ZipArchive:
    """The entries of an archive, by name.

    Args:
        data: The whole file.
        verify: Whether to compare each entry that is read with its checksum, not only those whose
            position the archive leaves in doubt.

    Raises:
        FormatError: If the directory or a local header is invalid.
    """

    def __init__(self, data: mmap.mmap, verify: bool = False) -> None:
        self._bytes = np.frombuffer(data, np.uint8)
        self._data = data
        self._verify = verify
        self._inflated = 0
        self._entries: dict[str, _Entry] = {}
        self._starts: dict[str, int] = {}
        count, begin, end = _find_directory(data)
        for entry in _read_directory(data, count, begin, end):
            if entry.name in self._entries:
                raise FormatError(f"has two entries {entry.name!r}: refused")
            self._entries[entry.name] = entry
            self._starts[entry.name] = _find_start(data, entry, begin)

    @property
    def names(self) -> list[str]:
        """The names of all entries, in the directory's order."""
        return list(self._entries)

    def size(self, name: str) -> int:
        """Returns the size of an entry's content in bytes."""
        return self._entry(name).size

    def content(self, name: str, verify: bool = False) -> NDArray[np.uint8]:
        """Returns an entry's bytes, read-only: a view of the file if they are not compressed.

        Args:
            name: The entry's name.
            verify: Whether to compare the bytes with their checksum.

        Raises:
            FormatError: If the entry is missing or damaged.
        """
        entry, start = self._entry(name), self._starts[name]
        content = self._bytes[start : start + entry.stored_size]
        if entry.method == _DEFLATED:
            content = self._inflate(entry, content)
        # The checksum of an empty entry is 0. Otherwise 0 means that torch was told to write none.
        has_checksum = entry.checksum != 0 or entry.size == 0
        is_confirmed = _is_described(self._data, entry, start + entry.stored_size)
        if not has_checksum and not is_confirmed:
            raise FormatError(f"its entry {name!r} is damaged: it has no checksum")
        check = verify or self._verify or entry.method == _DEFLATED or not is_confirmed
        if has_checksum and check and zlib.crc32(content.data) != entry.checksum:
            raise FormatError(f"its entry {name!r} is damaged: it differs from its checksum")
        return content

    def _entry(self, name: str) -> _Entry:
        if name not in self._entries:
            raise FormatError(f"has no entry {name}")
        return self._entries[name]

    def _inflate(self, entry: _Entry, content: NDArray[np.uint8]) -> NDArray[np.uint8]:
        self._inflated += entry.size
        if self._inflated > _MAX_INFLATED_BYTES + _MAX_INFLATED_SHARE * len(self._data):
            raise FormatError("decompresses to many times its size: refused as a zip bomb")
        stream = zlib.decompressobj(-zlib.MAX_WBITS)
        # One byte more than expected: only then does the stream report whether it has ended.
        inflated = stream.decompress(content.data, entry.size + 1)
        if len(inflated) != entry.size or not stream.eof:
            raise FormatError(
                f"its entry {entry.name!r} is damaged: it decompresses to another size"
            )
        return np.frombuffer(inflated, np.uint8)


def _find_directory(data: mmap.mmap) -> tuple[int, int, int]:
    """Returns the number of entries, and where the directory begins and ends."""
    damaged = FormatError("is a truncated or damaged zip archive: its end record is invalid")
    at = data.rfind(b"PK\x05\x06", max(0, len(data) - _END.size - _FULL_16))
    if at < 0 or at + _END.size > len(data):
        raise FormatError("is a truncated or damaged zip archive: it has no directory at its end")
    _, *disks, count, size, begin, comment = _END.unpack_from(data, at)
    if disks != [0, 0, count] or at + _END.size + comment != len(data):
        raise damaged
    end, locator = at, at - _LOCATOR_64.size
    if locator >= 0 and data[locator : locator + 4] == b"PK\x06\x07":
        short = (count, size, begin)
        _, disk, end, disk_count = _LOCATOR_64.unpack_from(data, locator)
        if disk or disk_count != 1 or end + _END_64.size > locator:
            raise damaged
        name, *disks, count, size, begin = _END_64.unpack_from(data, end)
        if name != b"PK\x06\x06" or disks != [0, 0, count]:
            raise damaged
        for number, full, long in zip(
            short, (_FULL_16, _FULL_32, _FULL_32), (count, size, begin), strict=True
        ):
            if number not in (full, long):
                raise damaged
    if begin + size != end:
        raise FormatError("is a truncated or damaged zip archive: its directory is not at its end")
    if count > _MAX_ENTRIES:
        raise FormatError(f"has {count} entries, over {_MAX_ENTRIES}: refused")
    return count, begin, end


def _read_directory(data: mmap.mmap, count: int, begin: int, end: int) -> list[_Entry]:
    entries = []
    position = begin
    for _ in range(count):
        if position + _CENTRAL.size > end:
            raise FormatError("is a damaged zip archive: its directory is truncated")
        (
            signature,
            flags,
            method,
            checksum,
            stored_size,
            size,
            n_name,
            n_extra,
            n_comment,
            header,
        ) = _CENTRAL.unpack_from(data, position)
        position += _CENTRAL.size
        if signature != b"PK\x01\x02" or position + n_name + n_extra + n_comment > end:
            raise FormatError("is a damaged zip archive: its directory is invalid")
        name = data[position : position + n_name].decode()
        extra = data[position + n_name : position + n_name + n_extra]
        position += n_name + n_extra + n_comment
        size, stored_size, header = _long_form(extra, size, stored_size, header)
        entry = _Entry(name, flags, method, checksum, stored_size, size, header)
        _check(entry, begin)
        entries.append(entry)
    if position != end:
        raise FormatError("is a damaged zip archive: its directory is invalid")
    return entries


def _long_form(extra: bytes, *numbers: int) -> list[int]:
    """Returns an entry's sizes and offset, taking those over 4 GB from its extra field."""
    if _FULL_32 not in numbers:
        return list(numbers)
    long: list[int] = []
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            field = extra[position + 4 : position + 4 + length]
            long = list(struct.unpack_from(f"<{len(field) // 8}Q", field))
        position += 4 + length
    if len(long) < numbers.count(_FULL_32):
        raise FormatError("is a damaged zip archive: a size in its directory is missing")
    return [long.pop(0) if number == _FULL_32 else number for number in numbers]


def _check(entry: _Entry, end: int) -> None:
    """Refuses entries that no checkpoint contains; `end` is the end of the archive's data."""
    name = entry.name
    if name.startswith("/") or name[1:2] == ":" or "\\" in name or ".." in name.split("/"):
        raise FormatError(f"has an entry {name!r}, a path that leaves the archive: refused")
    if not name.isprintable():
        raise FormatError(f"has an entry {name!r}, whose name is not printable: refused")
    if entry.flags & _ENCRYPTED:
        raise FormatError(f"its entry {name!r} is encrypted")
    if entry.method not in (_STORED, _DEFLATED):
        raise FormatError(f"its entry {name!r} uses an unsupported compression method")
    limit = _MAX_INFLATION * entry.stored_size if entry.method == _DEFLATED else entry.stored_size
    if entry.header + entry.stored_size > end or entry.size > limit:
        raise FormatError(
            f"its entry {name!r} claims {entry.size} bytes, more than the file can hold: refused"
        )
    if entry.method == _STORED and entry.size != entry.stored_size:
        raise FormatError(f"its entry {name!r} is damaged: its two sizes differ")


def _find_start(data: mmap.mmap, entry: _Entry, end: int) -> int:
    """Returns the offset of an entry's data, after its local header."""
    after = entry.header + _LOCAL.size
    if after > end:
        raise FormatError(f"its entry {entry.name!r} is damaged: it has no header")
    # The length of the extra field is only known here: the field aligns the data.
    signature, n_name, n_extra = _LOCAL.unpack_from(data, entry.header)
    name = data[after : after + n_name]
    start = after + n_name + n_extra
    if signature != ZIP_START or name != entry.name.encode():
        raise FormatError(f"its entry {entry.name!r} is damaged: its header has another name")
    if start + entry.stored_size > end:
        raise FormatError(f"its entry {entry.name!r} is damaged: it is truncated")
    return start


def _is_described(data: mmap.mmap, entry: _Entry, end: int) -> bool:
    """Whether a descriptor at `end` confirms checksum, sizes and the end of the data."""
    if not entry.flags & _HAS_DESCRIPTOR:
        return False
    facts = (b"PK\x07\x08", entry.checksum, entry.stored_size, entry.size)
    return any(
        end + form.size <= len(data) and form.unpack_from(data, end) == facts
        for form in (_DESCRIPTOR, _DESCRIPTOR_64)
    )
