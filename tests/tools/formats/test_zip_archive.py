"""Archives that contradict themselves, or would lead a reader astray, are refused by name."""

import struct
import zipfile
import zlib
from pathlib import Path

import pytest
from crafted import state_dict

from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint

NUMBERS = struct.pack("<2f", 1.0, 2.0)
PICKLE = ("archive/data.pkl", state_dict())
STORAGE = ("archive/data/0", NUMBERS)


def write(path: Path, *entries: tuple[str, bytes], compressed: bool = False) -> Path:
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return path


def change(path: Path, name: str, offset: int, form: str, value: int) -> Path:
    """Changes a field of an entry in the directory; `offset` counts from the entry's start."""
    content = bytearray(path.read_bytes())
    at = content.rindex(name.encode()) - 46
    assert content[at : at + 4] == b"PK\x01\x02"
    struct.pack_into(form, content, at + offset, value)
    path.write_bytes(content)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    return str(caught.value)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_frame_is_sound(tmp_path: Path, compressed: bool) -> None:
    path = write(tmp_path / "a.pth", PICKLE, STORAGE, compressed=compressed)
    assert read_checkpoint(path).tensors["a"].tolist() == [1.0, 2.0]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("entry", [PICKLE, STORAGE, ("archive/other", b"")])
def test_two_entries_of_one_name(tmp_path: Path, entry: tuple[str, bytes]) -> None:
    path = write(tmp_path / "a.pth", PICKLE, STORAGE, ("archive/other", b""), entry)
    assert f"has two entries {entry[0]!r}" in refusal(path)


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "/archive/data/1",
        "../data/1",
        "archive/../../data/1",
        "archive/..",
        "C:/data/1",
        "archive\\..\\data",
    ],
)
def test_paths_that_leave_the_archive(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / "a.pth", PICKLE, STORAGE, (name, b"x"))
    assert f"has an entry {name!r}, a path that leaves the archive" in refusal(path)


def test_dots_within_a_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", PICKLE, STORAGE, ("archive/..data/v1..2", b"x"))
    assert list(read_checkpoint(path).tensors) == ["a"]


def test_unprintable_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", PICKLE, STORAGE, ("archive/\x1b[2J", b"x"))
    assert r"'archive/\x1b[2J', whose name is not printable" in refusal(path)


class TestSizes:
    """In the directory: stored size at byte 20, size at byte 24."""

    @pytest.mark.parametrize("size", [1 << 20, 1 << 31, (1 << 32) - 2])
    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("name", ["archive/data.pkl", "archive/data/0", "archive/other"])
    def test_absurd(self, tmp_path: Path, name: str, compressed: bool, size: int) -> None:
        entries = (PICKLE, STORAGE, ("archive/other", b"x"))
        path = write(tmp_path / "a.pth", *entries, compressed=compressed)
        message = refusal(change(path, name, 24, "<L", size))
        assert f"its entry {name!r} claims {size} bytes, more than the file can hold" in message

    @pytest.mark.parametrize("name", ["archive/data.pkl", "archive/data/0"])
    def test_absurd_in_long_form(self, tmp_path: Path, name: str) -> None:
        """Over 4 GB, in the field that zip64 adds."""
        with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
            for entry, content in (PICKLE, STORAGE):
                info = zipfile.ZipInfo(entry)
                long = struct.pack("<2H2Q", 1, 16, 1 << 60, 1 << 60)
                archive.writestr(info, content)
                info.extra = long if entry == name else b""
        path = tmp_path / "a.pth"
        change(path, name, 20, "<L", 0xFFFFFFFF)
        message = refusal(change(path, name, 24, "<L", 0xFFFFFFFF))
        assert f"its entry {name!r} claims {1 << 60} bytes" in message

    def test_long_form_is_missing(self, tmp_path: Path) -> None:
        path = change(write(tmp_path / "a.pth", PICKLE, STORAGE), STORAGE[0], 24, "<L", 0xFFFFFFFF)
        assert "a size in its directory is missing" in refusal(path)

    def test_two_sizes(self, tmp_path: Path) -> None:
        path = change(write(tmp_path / "a.pth", PICKLE, STORAGE), STORAGE[0], 24, "<L", 4)
        assert "'archive/data/0' is damaged: its two sizes differ" in refusal(path)

    @pytest.mark.parametrize("compressed", [False, True])
    @pytest.mark.parametrize("length", [0, 4, 7])
    def test_storage_shorter_than_its_tensor(
        self, tmp_path: Path, length: int, compressed: bool
    ) -> None:
        entries = (PICKLE, (STORAGE[0], NUMBERS[:length]))
        message = refusal(write(tmp_path / "a.pth", *entries, compressed=compressed))
        assert f"storage 0 has {length} bytes and should have 2 times 4" in message

    def test_inflates_to_less(self, tmp_path: Path) -> None:
        storage = (STORAGE[0], bytes(800))
        path = write(tmp_path / "a.pth", PICKLE, storage, compressed=True)
        assert "should have 2 times 4" in refusal(path)
        message = refusal(change(path, storage[0], 24, "<L", 8))
        assert "'archive/data/0' is damaged: it decompresses to another size" in message


class TestPlaces:
    def test_header_of_another(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.pth", PICKLE, STORAGE)
        with zipfile.ZipFile(path) as archive:
            other = archive.getinfo(PICKLE[0]).header_offset
        message = refusal(change(path, STORAGE[0], 42, "<L", other))
        assert "'archive/data/0' is damaged: its header has another name" in message

    def test_place_after_the_end(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.pth", PICKLE, STORAGE)
        assert "more than the file can hold" in refusal(change(path, STORAGE[0], 42, "<L", 1 << 30))

    @pytest.mark.parametrize("name", [PICKLE[0], STORAGE[0]])
    def test_checksum(self, tmp_path: Path, name: str) -> None:
        """Storages are checked too, because zipfile writes no descriptor after the data."""
        path = change(write(tmp_path / "a.pth", PICKLE, STORAGE), name, 16, "<L", zlib.crc32(b"x"))
        assert f"{name!r} is damaged: it differs from its checksum" in refusal(path)

    def test_bytes_after_the_end(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.pth", PICKLE, STORAGE)
        path.write_bytes(path.read_bytes() + b"x")
        assert "truncated or damaged zip archive" in refusal(path)

    def test_comment(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.pth", PICKLE, STORAGE)
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = b"made by hand"
        assert list(read_checkpoint(path).tensors) == ["a"]

    def test_two_directories(self, tmp_path: Path) -> None:
        """An archive within the comment of another: readers differ in which they find."""
        inner = write(tmp_path / "inner", PICKLE, STORAGE).read_bytes()
        path = write(tmp_path / "a.pth", PICKLE, STORAGE)
        with zipfile.ZipFile(path, "a") as archive:
            archive.comment = inner
        assert "damaged zip archive" in refusal(path)

    @pytest.mark.parametrize("change_by", [-1, 1])
    def test_number_of_entries(self, tmp_path: Path, change_by: int) -> None:
        path = write(tmp_path / "a.pth", PICKLE, STORAGE)
        content = bytearray(path.read_bytes())
        for at in (8, 10):
            struct.pack_into("<H", content, len(content) - 22 + at, 2 + change_by)
        path.write_bytes(content)
        assert "damaged zip archive: its directory" in refusal(path)


def in_long_form(path: Path, **changes: int) -> Path:
    """Rewrites an archive's end in zip64's form, which torch always writes."""
    content = path.read_bytes()
    body, end = content[:-22], struct.unpack("<4s4H2LH", content[-22:])
    facts = {"count": end[4], "size": end[5], "begin": end[6], "record": len(body)} | changes
    record = struct.pack(
        "<4sQ2H2L4Q",
        *(b"PK\x06\x06", 44, 45, 45, 0, 0),
        *(facts["count"], facts["count"], facts["size"], facts["begin"]),
    )
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, facts["record"], 1)
    full = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, *[65535] * 2, *[0xFFFFFFFF] * 2, 0)
    path.write_bytes(body + record + locator + full)
    return path


def test_long_form(tmp_path: Path) -> None:
    path = in_long_form(write(tmp_path / "a.pth", PICKLE, STORAGE))
    assert read_checkpoint(path).tensors["a"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    "change", [{"count": 1}, {"count": 3}, {"size": 9}, {"begin": 1 << 62}, {"record": 1 << 62}]
)
def test_long_form_damaged(tmp_path: Path, change: dict[str, int]) -> None:
    path = in_long_form(write(tmp_path / "a.pth", PICKLE, STORAGE), **change)
    assert "damaged zip archive" in refusal(path)


def test_long_form_against_the_short_one(tmp_path: Path) -> None:
    path = in_long_form(write(tmp_path / "a.pth", PICKLE, STORAGE))
    content = bytearray(path.read_bytes())
    struct.pack_into("<2H", content, len(content) - 14, 1, 1)
    path.write_bytes(content)
    assert "its end record is invalid" in refusal(path)
