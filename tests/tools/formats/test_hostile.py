"""Files that try to run code, or to exhaust the machine, are refused by name; nothing runs."""

import copyreg
import pickle
import struct
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crafted import (
    CONTAINERS,
    ORDERED_DICT,
    PROTO,
    STORAGE_ID,
    legacy,
    state_dict,
    tensor,
    text,
    write,
)

from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint

EXTENSION = 0xE7


def refusal(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.fixture
def extension() -> Iterator[None]:
    """Registers os.system as an extension and has the interpreter remember it."""
    copyreg.add_extension("posix", "system", EXTENSION)
    try:
        pickle.loads(b"\x80\x02\x82" + bytes([EXTENSION]) + b".")
        yield
    finally:
        copyreg.remove_extension("posix", "system", EXTENSION)
        copyreg.clear_extension_cache()


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_frame_is_sound(tmp_path: Path, container: str) -> None:
    """Otherwise the tests below could see a refusal for another reason."""
    arrays = read_checkpoint(write(tmp_path / "a.pth", container, state_dict())).tensors
    assert arrays["a"].tolist() == [1.0, 2.0]


# Each gets a shell command, or Python code, that creates the canary. Each is first shown to work in
# the standard unpickler.
LIVE: dict[str, tuple[str, Callable[[bytes, bytes], bytes]]] = {
    "os.system": ("posix.system", lambda sh, py: PROTO + b"cposix\nsystem\n" + sh + b"\x85R."),
    "eval": ("builtins.eval", lambda sh, py: PROTO + b"cbuiltins\neval\n" + py + b"\x85R."),
    "python 2's eval": (
        "__builtin__.eval",
        lambda sh, py: PROTO + b"c__builtin__\neval\n" + py + b"\x85R.",
    ),
    "getattr chain": (
        "builtins.getattr",
        lambda sh, py: (
            PROTO
            + b"cbuiltins\ngetattr\ncbuiltins\n__import__\n"
            + text("os")
            + b"\x85R"
            + text("system")
            + b"\x86R"
            + sh
            + b"\x85R."
        ),
    ),
    "nested": (
        "posix.system",
        lambda sh, py: (
            PROTO
            + ORDERED_DICT
            + text("a")
            + b"]}"
            + text("b")
            + b"cposix\nsystem\n"
            + sh
            + b"\x85R\x85sas."
        ),
    ),
    "in the state of an OrderedDict": (
        "posix.system",
        lambda sh, py: (
            PROTO + ORDERED_DICT + b"}" + text("_metadata") + b"cposix\nsystem\n" + sh + b"\x85Rsb."
        ),
    ),
    "__setstate__": (
        "posix.system",
        lambda sh, py: (
            PROTO + ORDERED_DICT + b"}" + text("__setstate__") + b"cposix\nsystem\nsb" + sh + b"b."
        ),
    ),
    "STACK_GLOBAL": (
        "posix.system",
        lambda sh, py: b"\x80\x04\x8c\x05posix\x8c\x06system\x93" + sh + b"\x85R.",
    ),
    "STACK_GLOBAL by a dotted name": (
        "pickle.sys.modules",
        lambda sh, py: (
            b"\x80\x04\x8c\x06pickle\x8c\x0bsys.modules\x930"
            b"\x8c\x05posix\x8c\x06system\x93" + sh + b"\x85R."
        ),
    ),
    "STACK_GLOBAL by remembered names": (
        "posix.system",
        lambda sh, py: (
            b"\x80\x04\x8c\x05posix\x940\x8c\x06system\x940h\x00h\x01\x93" + sh + b"\x85R."
        ),
    ),
    "INST": ("posix.system", lambda sh, py: b"(" + sh + b"iposix\nsystem\n."),
    "OBJ": (
        "subprocess.getoutput",
        lambda sh, py: b"(csubprocess\ngetoutput\n" + sh + b"o.",
    ),
    "NEWOBJ": (
        "subprocess.Popen",
        lambda sh, py: PROTO + b"csubprocess\nPopen\n)\x810cposix\nsystem\n" + sh + b"\x85R.",
    ),
    "EXT1": ("EXT1", lambda sh, py: PROTO + b"\x82" + bytes([EXTENSION]) + sh + b"\x85R."),
    "EXT2": ("EXT2", lambda sh, py: PROTO + b"\x83" + bytes([EXTENSION, 0]) + sh + b"\x85R."),
    "EXT4": (
        "EXT4",
        lambda sh, py: PROTO + b"\x84" + bytes([EXTENSION, 0, 0, 0]) + sh + b"\x85R.",
    ),
    "after a tensor's worth of containers": (
        "builtins.exec",
        lambda sh, py: PROTO + b"}]](K\x01K\x02t000cbuiltins\nexec\n" + py + b"\x85R.",
    ),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("case", LIVE)
@pytest.mark.usefixtures("extension")
def test_code_is_refused(tmp_path: Path, container: str, case: str) -> None:
    offender, build = LIVE[case]

    def payload(canary: Path) -> bytes:
        return build(text(f"touch '{canary}'"), text(f"open({str(canary)!r}, 'w').close()"))

    if case != "OBJ":  # the standard unpickler only builds classes by it
        pickle.loads(payload(tmp_path / "live"))
        assert (tmp_path / "live").exists(), "the payload does nothing even where it may"

    canary = tmp_path / "canary"
    path = write(tmp_path / "a.pth", container, payload(canary))
    assert offender in refusal(path)
    assert not canary.exists()


@pytest.mark.parametrize("place", range(5))
def test_every_legacy_pickle_is_guarded(tmp_path: Path, place: int) -> None:
    canary = tmp_path / "canary"
    payload = PROTO + b"cposix\nsystem\n" + text(f"touch '{canary}'") + b"\x85R."
    # The magic number identifies the format, so it must be there: as an item that is dropped.
    payload = pickle.dumps(0x1950A86A20F9469CFC6C, 2)[:-1] + b"\x85" + payload[2:]
    path = tmp_path / "a.pth"
    path.write_bytes(legacy(*[b""] * place, payload))
    assert "posix.system" in refusal(path)
    assert not canary.exists()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "name",
    [
        "torch.load",
        "torch.hub.load",
        "torch.jit.load",
        "torch.jit._script.RecursiveScriptModule",
        "torch.storage._load_from_bytes",
        "torch.serialization.load",
        "torch.package.PackageImporter",
        "torch.utils.model_zoo.load_url",
        "torch._utils._rebuild_from_type_v2",
        "torch._utils._rebuild_tensor_v2.__globals__",
        "torch._tensor._rebuild_from_type",
        "torch.nn.modules.linear.Linear",
        "torch.FloatStorage.from_file",
        "numpy.load",
        "numpy.core.multiarray._reconstruct",
        "argparse.Namespace",
        "functools.partial",
        "operator.attrgetter",
        "collections.defaultdict",
        "weights_tools.formats.torch_format.unpickler._REBUILDERS",
        "collections",
        "",
    ],
)
def test_globals_are_refused_by_name(tmp_path: Path, container: str, name: str) -> None:
    module, _, attribute = name.rpartition(".")
    for call in (
        f"c{module}\n{attribute}\n)R".encode(),
        text(module) + text(attribute) + b"\x93)\x81",
    ):
        payload = state_dict(before=text("x") + call + b"s")
        message = refusal(write(tmp_path / "a.pth", container, payload))
        assert f"asks for {module}.{attribute}, which" in message


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (ORDERED_DICT + b"}" + text("__setstate__") + b"ctorch\nSize\nsb", "'__setstate__'"),
        (ORDERED_DICT + b"}" + text("__class__") + b"Nsb", "'__class__'"),
        (ORDERED_DICT + b"N}" + text("__dict__") + b"Ns\x86b", "BUILD"),
        (b"ctorch\nSize\n}" + text("__call__") + b"Nsb", "BUILD"),
        (b"ctorch\nSize\nN}" + text("__code__") + b"Ns\x86b", "BUILD"),
        (tensor() + b"}" + text("shape") + b"Nsb", "BUILD"),
        (b"]}" + text("append") + b"Nsb", "BUILD"),
        (b"ctorch\nFloatStorage\n)R", "calls torch.FloatStorage"),
        (b"ctorch\nfloat32\n)R", "calls torch.float32"),
        (text("os.system") + b")R", "calls str"),
        (tensor() + b")R", "calls TensorRef"),
        (b"ctorch\nFloatStorage\n)\x81", "NEWOBJ"),
        (b"ctorch\nFloatStorage\n)}\x92", "NEWOBJ_EX"),
        (b"(ctorch\nSize\no", "OBJ"),
        (b"(icollections\nOrderedDict\n", "collections.OrderedDict by INST"),
        (b"ctorch\nSize\nNR", "torch.Size with unusual arguments"),
        (b"ctorch\nSize\n]R", "torch.Size with unusual arguments"),
        (b"ccollections\nOrderedDict\n}\x85R", "OrderedDict with unusual arguments"),
        (b"ccollections\nOrderedDict\n](K\x01e\x85R", "OrderedDict with unusual arguments"),
        (b"ctorch._utils\n_rebuild_parameter\n(K\x01\x88NtR", "_rebuild_parameter with unusual"),
        (tensor(rest=b"\x89" + b"N" * 5), "_rebuild_tensor_v2 with unusual arguments"),
        (b"PX\n", "PERSID"),
        (text("0") + b"Q", "not a storage"),
        (b"(U\x06modulectorch\nSize\nU\x010U\x03cpuK\x02tQ", "not a storage"),
        (b"(U\x07storagectorch\nSize\nU\x010U\x03cpuK\x02tQ", "storage 0"),
        (b"(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuJ\xff\xff\xff\xfftQ", "storage 0"),
        (
            STORAGE_ID + b"Q0(U\x07storagectorch\nFloatStorage\nU\x010U\x03cpuK\x01tQ",
            "two different descriptions",
        ),
        (
            text("a\nb\x1b[2J") + b"\x85q\x010" + b"\x8c\x02\n\t\x8c\x01a\x93",
            r"asks for \n\t.a, which",
        ),
        (b"\x96" + bytes(8), "BYTEARRAY8"),
        (b"\x97", "NEXT_BUFFER"),
        (b"S'\\d'\n", "STRING"),
        (b"\xff", "not an opcode"),
        (b"cpos\\ix\nsystem\n", "pos\\ix.system"),
        (b"h\x63", "99"),
        (b"\x8c\x05posix)\x93", "not a string"),
        (b"K\x01K\x02a", "that is not a list"),
        (b"K\x01K\x02K\x03s", "that is not a dict"),
        (b"}(K\x01u", "damaged"),
        (b"t", "damaged"),
    ],
)
def test_tricks(tmp_path: Path, container: str, value: bytes, reason: str) -> None:
    payload = state_dict(before=text("x") + value + b"s")
    assert reason in refusal(write(tmp_path / "a.pth", container, payload))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": b"", "strides": b""},
        {"offset": b"J\xff\xff\xff\xff"},
        {"shape": b"J\xff\xff\xff\xff\x85"},
        {"strides": b"J\xff\xff\xff\xff\x85"},
        {"strides": b"K\x01K\x01\x86"},
        {"shape": b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85"},
        {"shape": b"\x8a\x20" + b"\xff" * 31 + b"\x7f\x85", "strides": b"K\x00\x85"},
        {"shape": b"\x8a\x08" + b"\xff" * 7 + b"\x7fK\x04\x86", "strides": b"K\x00K\x00\x86"},
        {"shape": b"K\x01\x85", "strides": b"\x8a\x08" + b"\xff" * 7 + b"\x7f\x85"},
        {"shape": b"G?\xf0\0\0\0\0\0\0\x85"},
        {"offset": b"\x88"},
        {"shape": b"(" + b"K\x01" * 40 + b"t", "strides": b"(" + b"K\x01" * 40 + b"t"},
        {"storage": b"N"},
        {"rest": b"\x89N}" + text("neg") + b"\x88s"},
    ],
)
def test_tensors_are_well_formed(
    tmp_path: Path, container: str, arguments: dict[str, bytes]
) -> None:
    path = write(tmp_path / "a.pth", container, state_dict(value=tensor(**arguments)))
    assert refusal(path)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "arguments",
    [
        {"shape": b"K\x03\x85"},
        {"offset": b"K\x01"},
        {"strides": b"K\x02\x85"},
        {"shape": b"K\x01\x85", "offset": b"K\x02"},
        {"shape": b"K\x00\x85", "offset": b"K\x03"},
        {"shape": b")", "strides": b")", "offset": b"K\x02"},
        {"shape": b"K\x02K\x02\x86", "strides": b"K\x01K\x01\x86"},
    ],
)
def test_tensors_reach_no_further(
    tmp_path: Path, container: str, arguments: dict[str, bytes]
) -> None:
    path = write(tmp_path / "a.pth", container, state_dict(value=tensor(**arguments)))
    assert "reaches outside its storage of 2 elements" in refusal(path)


@pytest.mark.parametrize(
    ("keys", "count", "reason"),
    [
        (["0"], 1, "storage 0 has 1 elements and should have 2"),
        (["0"], -1, "elements and should have 2"),
        (["1"], 2, "a storage that no tensor refers to"),
        ([], 2, "storage 0 is missing"),
        ([["0"]], 2, "a storage that no tensor refers to"),
        ("0", 2, "no list of storages"),
        (["0", "0"], 2, "truncated"),
    ],
)
def test_legacy_storages(tmp_path: Path, keys: object, count: int, reason: str) -> None:
    path = tmp_path / "a.pth"
    content = legacy(b"", b"", b"", state_dict(), pickle.dumps(keys, 2))
    path.write_bytes(content[:-16] + struct.pack("<q", count) + content[-8:])
    assert reason in refusal(path)


def peak_of(path: Path) -> int:
    """Returns the most bytes that Python held while reading, successfully or not."""
    tracemalloc.start()
    try:
        read_checkpoint(path)
    except CheckpointError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("container", CONTAINERS)
class TestBombs:
    @pytest.mark.parametrize(
        "value",
        [
            b"Nr\xff\xff\xff\xff",  # a memo of 2**32 slots
            b"K\x01" + b"q\x01h\x01\x86" * 500,  # 2**500 leaves, if they were looked at
            b"]q\x01h\x01a",  # contains itself
            b"(" * 1000 + b"t" * 1000,
        ],
    )
    def test_harmless(self, tmp_path: Path, container: str, value: bytes) -> None:
        payload = state_dict(before=text("x") + value + b"s")
        path = write(tmp_path / "a.pth", container, payload)
        read_checkpoint(path)
        assert peak_of(path) < 4 << 20

    @pytest.mark.parametrize(
        "value",
        [
            b"\x8d" + struct.pack("<Q", 1 << 60),
            b"\x8d" + struct.pack("<Q", (1 << 64) - 1),
            b"\x8e" + struct.pack("<Q", 1 << 40),
            b"X\xff\xff\xff\xff",
            b"T\xff\xff\xff\x7f",
            b"\x95" + struct.pack("<Q", 1 << 60) + b"\x8b\xff\xff\xff\x7f",
        ],
    )
    def test_lengths(self, tmp_path: Path, container: str, value: bytes) -> None:
        path = write(tmp_path / "a.pth", container, state_dict(before=text("x") + value))
        refusal(path)
        assert peak_of(path) < 4 << 20

    def test_deep_key(self, tmp_path: Path, container: str) -> None:
        """Hashing such a tuple overflows the C stack, and the standard unpickler with it."""
        payload = PROTO + b"}" + b")" + b"\x85" * 200_000 + b"Ns."
        assert "a tuple as a key" in refusal(write(tmp_path / "a.pth", container, payload))

    def test_keys_of_one_hash(self, tmp_path: Path, container: str) -> None:
        """Python hashes integers modulo 2**61 - 1, so that a file can choose keys that collide."""
        key = (5 * ((1 << 61) - 1)).to_bytes(9, "little")
        payload = PROTO + b"}\x8a\x09" + key + b"Ns."
        assert "more than 64 bits as a key" in refusal(write(tmp_path / "a", container, payload))

    def test_deep_value(self, tmp_path: Path, container: str) -> None:
        payload = state_dict(before=text("x") + b")" + b"\x85" * 200_000 + b"s")
        arrays = read_checkpoint(write(tmp_path / "a.pth", container, payload)).tensors
        assert list(arrays) == ["a"]

    def test_many_opcodes(self, tmp_path: Path, container: str) -> None:
        payload = PROTO + b"N" * 500_000 + b"."
        assert "500000 opcodes" in refusal(write(tmp_path / "a.pth", container, payload))

    def test_long_pickle(self, tmp_path: Path, container: str) -> None:
        payload = PROTO + b"\x8e" + struct.pack("<Q", 16 << 20) + bytes(16 << 20) + b"."
        assert "over 16 MiB" in refusal(write(tmp_path / "a.pth", container, payload))

    def test_one_list_into_many_dicts(self, tmp_path: Path, container: str) -> None:
        pairs = b"](" + b"".join(b"K%cN\x86" % i for i in range(200)) + b"eq\x010"
        spend = b"ccollections\nOrderedDict\nh\x01\x85R"
        value = pairs + b"](" + spend * 2000 + b"e"
        path = write(tmp_path / "a.pth", container, state_dict(before=text("x") + value + b"s"))
        assert peak_of(path) < 4 << 20

    def test_huge_storage(self, tmp_path: Path, container: str) -> None:
        claimed = STORAGE_ID.replace(b"K\x02t", b"\x8a\x07" + b"\xff" * 6 + b"\x7ft") + b"Q"
        path = write(tmp_path / "a.pth", container, state_dict(value=tensor(storage=claimed)))
        refusal(path)
        assert peak_of(path) < 4 << 20


class TestZipBombs:
    def test_pickle(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pth"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", PROTO + b"N" * (90 << 20))
        assert "over 16 MiB" in refusal(path)
        assert peak_of(path) < 4 << 20

    def test_storages(self, tmp_path: Path) -> None:
        """Many entries, each of which alone would be accepted."""
        path = tmp_path / "a.pth"
        count = 4 << 20
        items = b""
        for i in range(6):
            storage = b"(U\x07storagectorch\nFloatStorage\nU\x01%dU\x03cpuJ" % i
            storage += struct.pack("<i", count) + b"tQ"
            shape = b"J" + struct.pack("<i", count) + b"\x85"
            items += text(str(i)) + tensor(storage=storage, shape=shape) + b"s"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", PROTO + b"}" + items + b".")
            for i in range(6):
                archive.writestr(f"archive/data/{i}", bytes(4 * count))
        assert "zip bomb" in refusal(path)
        assert peak_of(path) < 100 << 20

    def test_more_than_the_storage_needs(self, tmp_path: Path) -> None:
        path = tmp_path / "a.pth"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", state_dict())
            archive.writestr("archive/data/0", struct.pack("<2f", 1.0, 2.0) + bytes(50 << 20))
        assert "has 52428808 bytes and should have 2 times 4" in refusal(path)
        assert peak_of(path) < 4 << 20

    def test_encrypted(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.pth", "zip", state_dict())
        content = bytearray(path.read_bytes())
        content[content.index(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)
        assert "encrypted" in refusal(path)
