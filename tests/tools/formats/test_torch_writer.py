"""Our writer's files equal torch.save's byte for byte, and torch loads them."""

import io
import pickle
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict
from functools import partial
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch loads the files that are written here")

from torch.utils.serialization import config  # noqa: E402

from weights_tools.formats.checkpoint import read_checkpoint  # noqa: E402
from weights_tools.formats.torch_format import writer as torch_writer  # noqa: E402
from weights_tools.formats.torch_format.writer import state_dict_pickle, write_torch_file  # noqa: E402

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8")
RNG = np.random.default_rng(0)


def numbers(*shape: int, dtype: str = "float32") -> np.ndarray:
    values = np.asarray(100 * RNG.normal(size=shape))
    return values.astype(getattr(ml_dtypes, dtype, dtype))


CASES: dict[str, dict[str, np.ndarray]] = {
    "a layer": {"weight": numbers(4, 3), "bias": numbers(4), "count": np.array(7)},
    "one tensor": {"only": numbers(5)},
    "no tensors": {},
    "every dtype": {name: numbers(3, 2, dtype=name) for name in DTYPES},
    "booleans": {"mask": np.array([True, False, True])},
    "every rank": {f"rank {n}": numbers(*range(2, n + 2)) for n in range(6)},
    "empty tensors": {"a": numbers(0, 3), "b": numbers(2), "c": numbers(3, 0, 4), "d": numbers(9)},
    "one batch of names": {f"layer{n}": numbers(1) for n in range(1000)},
    "one name more": {f"layer{n}": numbers(1) for n in range(1001)},
    "many names": {f"layer{n}": numbers(1) for n in range(2345)},
    "large": {"a": numbers(300, 1000), "b": numbers(3), "c": numbers(1 << 17)},
    "names of all kinds": {"": numbers(1), "größe": numbers(2), "a b/../c": numbers(3)},
    "long names": {"x" * n: numbers(n) for n in range(100, 165)},
}


def as_torch(array: np.ndarray) -> "torch.Tensor":
    array = array.copy()
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array).clone(memory_format=torch.contiguous_format)


def write(path: Path, tensors: dict[str, np.ndarray]) -> Path:
    write_torch_file(path, {name: partial(np.asarray, tensor) for name, tensor in tensors.items()})
    return path


def assert_same(found: dict[str, "torch.Tensor"], tensors: dict[str, np.ndarray]) -> None:
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        expected = as_torch(tensor)
        assert found[name].dtype == expected.dtype
        assert found[name].shape == expected.shape
        assert torch.equal(found[name], expected), name


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    return CASES[request.param]


def test_every_byte_up_to_the_directory_is_torchs(case, tmp_path):
    buffer = io.BytesIO()
    torch.save(OrderedDict((name, as_torch(tensor)) for name, tensor in case.items()), buffer)
    # torch ends with an entry that identifies the file; we do not write it.
    with zipfile.ZipFile(buffer) as archive:
        end = archive.getinfo("archive/.data/serialization_id").header_offset
    ours = write(tmp_path / "ours.pth", case).read_bytes()
    assert ours[:end] == buffer.getvalue()[:end]
    assert ours[end : end + 4] == b"PK\1\2"


def test_torch_loads_the_same_tensors(case, tmp_path):
    path = write(tmp_path / "ours.pth", case)
    found = torch.load(path, weights_only=True)
    assert type(found) is OrderedDict
    assert_same(found, case)


@pytest.mark.parametrize("calculated", [False, True])
def test_torch_maps_the_same_tensors(case, calculated, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_SERIALIZATION_DEBUG", "1")
    path = write(tmp_path / "ours.pth", case)
    with config.patch("load.calculate_storage_offsets", calculated):
        assert_same(torch.load(path, weights_only=True, mmap=True), case)


@pytest.mark.parametrize("name", [name for name in CASES if name != "no tensors"])
def test_our_reader_reads_the_same_tensors(name, tmp_path):
    case = CASES[name]
    found = read_checkpoint(write(tmp_path / "ours.pth", case))
    assert found.format == "torch zip"
    assert list(found.tensors) == list(case)
    for name, tensor in case.items():
        assert found.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found.tensors[name], tensor)


def test_storages_are_aligned_and_checksums_right(case, tmp_path):
    path = write(tmp_path / "ours.pth", case)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for entry in archive.infolist():
            assert entry.compress_type == zipfile.ZIP_STORED
            lengths = content[entry.header_offset + 26 : entry.header_offset + 30]
            name, extra = lengths[:2], lengths[2:]
            start = entry.header_offset + 30
            start += int.from_bytes(name, "little") + int.from_bytes(extra, "little")
            assert start % 64 == 0
            stored = content[start : start + entry.file_size]
            assert zlib.crc32(stored) == entry.CRC
            if stored:  # followed by a descriptor, for readers that stream the file
                descriptor = content[start + len(stored) :][:16]
                assert descriptor[:8] == b"PK\7\10" + entry.CRC.to_bytes(4, "little")
                assert descriptor[8:] == len(stored).to_bytes(4, "little") * 2
        assert archive.read("archive/byteorder") == b"little"
        assert archive.read("archive/version") == b"3\n"


def test_views_are_written_in_their_own_order(tmp_path):
    base = numbers(6, 5, 4)
    views = {
        "transposed": base.transpose(2, 0, 1),
        "sliced": base[::2, 1:, ::-1],
        "broadcast": np.broadcast_to(base[0, 0], (3, 4)),
        "Fortran's": np.asfortranarray(base),
    }
    path = write(tmp_path / "ours.pth", views)
    found = torch.load(path, weights_only=True)
    assert_same(found, views)
    assert all(tensor.is_contiguous() for tensor in found.values())


def test_big_endian_numbers_are_turned_round(tmp_path):
    path = write(tmp_path / "ours.pth", {"a": np.arange(5, dtype=">f4")})
    assert torch.load(path, weights_only=True)["a"].tolist() == [0, 1, 2, 3, 4]


def test_tensors_of_any_size_are_described():
    class Arguments(pickle.Unpickler):
        def persistent_load(self, pid):
            return pid[4]

        def find_class(self, module, name):
            return OrderedDict if name == "OrderedDict" else lambda *arguments: arguments

    sides = [200, 70_000, 3_000_000_000, 2**40]
    outlines = {f"{side}": ("uint8", (2, side)) for side in sides}
    found = Arguments(io.BytesIO(state_dict_pickle(outlines))).load()
    assert [found[f"{side}"][:4] for side in sides] == [
        (2 * side, 0, (2, side), (side, 1)) for side in sides
    ]


def test_one_tensor_at_a_time_is_in_memory(tmp_path):
    tensors = {f"layer{n}": partial(np.full, 1 << 20, n, np.float32) for n in range(12)}
    tracemalloc.start()
    try:
        write_torch_file(tmp_path / "ours.pth", tensors)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2.5 * (4 << 20)


def test_an_unknown_dtype_is_refused(tmp_path):
    with pytest.raises(ValueError, match="b has dtype 'complex64', not one of float64, float32"):
        write(tmp_path / "ours.pth", {"a": numbers(1), "b": numbers(1).astype(np.complex64)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("limit", "value"), [("_MAX_BYTES", 8000), ("_MAX_ENTRIES", 6)])
def test_what_a_plain_archive_cannot_hold_is_refused(limit, value, tmp_path, monkeypatch):
    monkeypatch.setattr(torch_writer, limit, value)
    with pytest.raises(ValueError, match="the tensors up to data/1 take"):
        write(tmp_path / "ours.pth", {"a": numbers(100), "b": numbers(2000), "c": numbers(1)})
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_what_was_there(tmp_path):
    path = write(tmp_path / "ours.pth", {"a": numbers(3)})
    before = path.read_bytes()
    calls = iter([numbers(3)])
    with pytest.raises(StopIteration):
        write_torch_file(path, {"a": lambda: next(calls)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
