"""Files that torch writes are read as torch.load(weights_only=True) reads them, bit for bit."""

import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from crafted import CONTAINERS, ORDERED_DICT, PROTO, STORAGE_ID, text, write

from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint

torch = pytest.importorskip("torch", reason="torch writes the files that are read here")
from torch_saved import (  # noqa: E402, it imports torch
    FORMATS,
    assert_equals_torch,
    assert_same,
    rezip,
    save,
)

TYPED = (
    *("float64", "float32", "float16", "bfloat16", "complex128", "complex64"),
    *("int64", "int32", "int16", "int8", "uint8", "bool"),
)
"""Dtypes with a storage class of their own, which both formats know."""
BARE = (
    *("uint16", "uint32", "uint64"),
    *("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu"),
)
"""Dtypes that torch can only write to the zip format."""
SAVED = [
    *((dtype, fmt) for fmt in FORMATS for dtype in TYPED),
    *((dtype, "torch zip") for dtype in BARE),
]
LAYOUTS: dict[str, Callable[["torch.Tensor"], "torch.Tensor"]] = {
    "whole": lambda t: t,
    "offset": lambda t: t[1, 2:],
    "strided": lambda t: t[::2, 1::2, ::3],
    "transposed": lambda t: t.permute(2, 0, 1),
    "expanded": lambda t: t[:, :1, :1].expand(3, 5, 2),
    "scalar": lambda t: t[2, 3, 1],
    "empty": lambda t: t[3:],
    "empty, of odd shape": lambda t: t[:, 4:4].transpose(0, 1),
    "one of each side": lambda t: t[:1, :1, :1],
    "overlapping": lambda t: t.as_strided((4, 3), (2, 1), 5),
    "copied": lambda t: t[1].clone(),
}


def random_bits(dtype: str) -> "torch.Tensor":
    """Random bits, including NaN of every payload, infinities and denormal numbers."""
    kind = getattr(torch, dtype)
    generator = torch.Generator().manual_seed(11)
    size = 3 * 4 * 7 * kind.itemsize
    values = torch.randint(0, 256, (size,), generator=generator).to(torch.uint8)
    return (values % 2 if dtype == "bool" else values).view(kind).reshape(3, 4, 7)


@pytest.mark.parametrize(("dtype", "fmt"), SAVED)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_dtypes_and_layouts(tmp_path: Path, dtype: str, fmt: str, layout: str) -> None:
    tensor = LAYOUTS[layout](random_bits(dtype))
    checkpoint = assert_equals_torch(save({"a": tensor}, tmp_path / "a.pth", fmt), fmt)
    assert checkpoint.tensors["a"].shape == tuple(tensor.shape)


@pytest.mark.parametrize(("dtype", "fmt"), SAVED)
def test_shared_storage(tmp_path: Path, dtype: str, fmt: str) -> None:
    base = random_bits(dtype)
    tensors = {name: layout(base) for name, layout in LAYOUTS.items()}
    arrays = assert_equals_torch(save(tensors, tmp_path / "a.pth", fmt), fmt).tensors
    assert np.shares_memory(arrays["whole"], arrays["transposed"])
    assert not np.shares_memory(arrays["whole"], arrays["copied"])


SAFETENSORS = [name for name in (*TYPED, *BARE) if name not in ("complex128", "float8_e8m0fnu")]
"""Dtypes that the library writes for torch."""


@pytest.mark.parametrize("dtype", SAFETENSORS)
def test_safetensors(tmp_path: Path, dtype: str) -> None:
    library = pytest.importorskip("safetensors.torch", reason="safetensors writes these files")
    base = random_bits(dtype)
    tensors = {name: layout(base).clone().contiguous() for name, layout in LAYOUTS.items()}
    path = tmp_path / "a.safetensors"
    library.save_file(tensors, path)
    arrays = read_checkpoint(path).tensors
    expected = library.load_file(path)
    assert arrays.keys() == expected.keys()
    for name, tensor in expected.items():
        assert_same(arrays[name], tensor)


@pytest.mark.parametrize(("code", "dtype"), [("F8_E8M0", "float8_e8m0fnu"), ("F64", "float64")])
def test_safetensors_by_hand(tmp_path: Path, code: str, dtype: str) -> None:
    values = random_bits(dtype).flatten()
    raw = values.view(torch.uint8).numpy().tobytes()
    entry = {"dtype": code, "shape": [len(values)], "data_offsets": [0, len(raw)]}
    header = json.dumps({"a": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + raw)
    assert_same(read_checkpoint(path).tensors["a"], values)


@pytest.mark.parametrize("code", ["F4", "F6_E2M3", "F6_E3M2", "I4", ""])
def test_safetensors_narrower_than_a_byte(tmp_path: Path, code: str) -> None:
    entry = {"dtype": code, "shape": [2], "data_offsets": [0, 1]}
    header = json.dumps({"a": entry}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0")
    with pytest.raises(CheckpointError, match=f"tensor 'a' has dtype '{code}': not supported"):
        read_checkpoint(path)


def assert_only_torch_reads(path: Path, reason: str) -> None:
    """For files that torch reads although they should not be relied on."""
    torch.load(path, weights_only=True)
    with pytest.raises(CheckpointError, match=reason):
        read_checkpoint(path)


class TestByteOrders:
    @pytest.mark.parametrize("dtype", TYPED)
    def test_big(self, tmp_path: Path, dtype: str) -> None:
        base = random_bits(dtype)
        tensors = {name: layout(base) for name, layout in LAYOUTS.items()}
        path = rezip(save(tensors, tmp_path / "a.pth"), byteorder=b"big")
        arrays = assert_equals_torch(path, "torch zip").tensors
        little = read_checkpoint(tmp_path / "a.pth").tensors
        same = arrays["whole"].tobytes() == little["whole"].tobytes()
        assert same == (base.itemsize == 1), "the swap changed nothing"

    @pytest.mark.parametrize("dtype", [name for name in BARE if name.startswith("float8")])
    def test_big_bytes(self, tmp_path: Path, dtype: str) -> None:
        path = rezip(save({"a": random_bits(dtype)}, tmp_path / "a.pth"), byteorder=b"big")
        assert_equals_torch(path, "torch zip")

    @pytest.mark.parametrize("dtype", ["uint16", "uint32", "uint64"])
    def test_big_without_a_storage_class(self, tmp_path: Path, dtype: str) -> None:
        """torch does not swap these, so its values differ from those that were saved."""
        path = rezip(save({"a": random_bits(dtype)}, tmp_path / "a.pth"), byteorder=b"big")
        assert_only_torch_reads(path, f"holds {dtype} numbers in big-endian order")

    @pytest.mark.parametrize("order", [b"little", None])
    def test_little(self, tmp_path: Path, order: bytes | None) -> None:
        path = rezip(save({"a": random_bits("float32")}, tmp_path / "a.pth"), byteorder=order)
        assert_equals_torch(path, "torch zip")

    def test_legacy_is_always_little(self, tmp_path: Path) -> None:
        """Big-endian machines too write little-endian numbers, whatever the file says."""
        path = save({"a": random_bits("float32")}, tmp_path / "a.pth", "torch legacy")
        content = path.read_bytes()
        assert content.count(b"little_endianq\x02\x88") == 1
        path.write_bytes(content.replace(b"little_endianq\x02\x88", b"little_endianq\x02\x89"))
        arrays = assert_equals_torch(path, "torch legacy").tensors
        assert_same(arrays["a"], random_bits("float32"))


@pytest.mark.parametrize("fmt", FORMATS)
class TestRebuilders:
    def test_parameters(self, tmp_path: Path, fmt: str) -> None:
        plain = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
        frozen = torch.nn.Parameter(torch.ones(2), requires_grad=False)
        marked = torch.nn.Parameter(torch.arange(3.0))
        marked.lr_scale = 0.1
        path = save({"a": plain, "b": frozen, "c": marked}, tmp_path / "a.pth", fmt)
        assert b"_rebuild_parameter_with_state" in path.read_bytes()
        assert_equals_torch(path, fmt)

    def test_state_dict_with_versions(self, tmp_path: Path, fmt: str) -> None:
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
        path = save(module.state_dict(), tmp_path / "a.pth", fmt)
        assert b"_metadata" in path.read_bytes()
        assert "1.num_batches_tracked" in assert_equals_torch(path, fmt).tensors

    def test_without_counters(self, tmp_path: Path, fmt: str) -> None:
        module = torch.nn.BatchNorm2d(4)
        state = {k: v for k, v in module.state_dict().items() if v.ndim}
        assert len(assert_equals_torch(save(state, tmp_path / "a.pth", fmt), fmt).tensors) == 4

    def test_nothing_but_views(self, tmp_path: Path, fmt: str) -> None:
        """A storage that no tensor covers completely."""
        base = torch.arange(100.0)
        state = {"a": base[10:20], "b": base[50::7]}
        assert_equals_torch(save(state, tmp_path / "a.pth", fmt), fmt)

    def test_lazy_conjugate(self, tmp_path: Path, fmt: str) -> None:
        path = save({"a": torch.ones(2, dtype=torch.complex64).conj()}, tmp_path / "a.pth", fmt)
        assert_only_torch_reads(path, "lazy conjugate or negative")

    def test_lazy_negative(self, tmp_path: Path, fmt: str) -> None:
        imaginary = torch.ones(2, dtype=torch.complex64).conj().imag
        assert imaginary.is_neg()
        path = save({"a": imaginary}, tmp_path / "a.pth", fmt)
        assert_only_torch_reads(path, "lazy conjugate or negative")

    def test_resolved_conjugate(self, tmp_path: Path, fmt: str) -> None:
        conjugate = torch.view_as_complex(torch.arange(4.0).reshape(2, 2)).conj().resolve_conj()
        assert_equals_torch(save({"a": conjugate}, tmp_path / "a.pth", fmt), fmt)

    @pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor", "ignore:TypedStorage is")
    def test_quantized(self, tmp_path: Path, fmt: str) -> None:
        path = save(
            {"a": torch.quantize_per_tensor(torch.ones(2), 0.5, 0, torch.qint8)},
            tmp_path / "a.pth",
            fmt,
        )
        assert_only_torch_reads(path, r"torch\._utils\._rebuild_qtensor")

    def test_sparse(self, tmp_path: Path, fmt: str) -> None:
        path = save({"a": torch.eye(2).to_sparse()}, tmp_path / "a.pth", fmt)
        assert_only_torch_reads(path, r"torch\._utils\._rebuild_sparse_tensor")

    def test_tensor_with_attributes(self, tmp_path: Path, fmt: str) -> None:
        tensor = torch.ones(2)
        tensor.note = 1
        path = save({"a": tensor}, tmp_path / "a.pth", fmt)
        assert_only_torch_reads(path, r"torch\._tensor\._rebuild_from_type_v2")


@pytest.mark.filterwarnings("ignore:TypedStorage is deprecated")
@pytest.mark.parametrize("container", CONTAINERS)
def test_oldest_rebuilder(tmp_path: Path, container: str) -> None:
    """`_rebuild_tensor`, which torch 0.1 wrote: no gradient's flag, no hooks."""
    identifier = STORAGE_ID if container == "zip" else STORAGE_ID[:-1] + b"Nt"
    call = b"ctorch._utils\n_rebuild_tensor\n(" + identifier + b"QK\x00K\x02\x85K\x01\x85tR"
    payload = PROTO + ORDERED_DICT + text("a") + call + b"s."
    path = write(tmp_path / "a.pth", container, payload)
    assert_equals_torch(path, f"torch {container}")


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", ["complex32", "bits8", "bits16", "float4_e2m1fn_x2"])
def test_dtypes_that_numpy_lacks(tmp_path: Path, dtype: str) -> None:
    tensor = torch.zeros(4, dtype=torch.int16).view(getattr(torch, dtype))
    path = save({"a": tensor}, tmp_path / "a.pth")
    assert_only_torch_reads(path, rf"asks for torch\.{dtype}, which no plain checkpoint")


class TestChecksums:
    @pytest.fixture
    def without_checksums(self, tmp_path: Path) -> Path:
        torch.serialization.set_crc32_options(False)
        try:
            tensors = {"a": random_bits("float32"), "b": torch.empty(0), "c": torch.tensor(3)}
            return save(tensors, tmp_path / "a.pth")
        finally:
            torch.serialization.set_crc32_options(True)

    def test_none_written(self, without_checksums: Path) -> None:
        with zipfile.ZipFile(without_checksums) as archive:
            assert {entry.CRC for entry in archive.infolist()} == {0}
        assert_equals_torch(without_checksums, "torch zip")
        read_checkpoint(without_checksums, verify=True)

    def test_moved_data_without_a_checksum(self, without_checksums: Path) -> None:
        """Only the length of the extra field tells where an entry's data begins."""
        content = bytearray(without_checksums.read_bytes())
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            header = archive.getinfo("a/data/0").header_offset
        (extra,) = struct.unpack_from("<H", content, header + 28)
        struct.pack_into("<H", content, header + 28, extra - 1)
        without_checksums.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"'a/data/0' is damaged: it has no checksum"):
            read_checkpoint(without_checksums)

    def test_damaged_numbers(self, tmp_path: Path) -> None:
        path = save({"a": random_bits("float32")}, tmp_path / "a.pth")
        content = bytearray(path.read_bytes())
        content[content.index(random_bits("float32").numpy().tobytes()) + 5] ^= 1
        path.write_bytes(content)
        read_checkpoint(path)  # reads only the description of the tensors
        with pytest.raises(CheckpointError, match=r"'a/data/0' is damaged: it differs"):
            read_checkpoint(path, verify=True)


class TestWrappers:
    @pytest.mark.parametrize(
        "path",
        ["state_dict", "model", "model_state", "model_ema", "module", "model_ema.module"],
    )
    @pytest.mark.parametrize("fmt", FORMATS)
    def test_found(self, tmp_path: Path, fmt: str, path: str) -> None:
        tree: object = {"a": torch.ones(1)}
        for key in reversed(path.split(".")):
            tree = {key: tree, "epoch": 3}
        checkpoint = read_checkpoint(save(tree, tmp_path / "a.pth", fmt))
        assert checkpoint.wrapper == path
        assert checkpoint.prefix == ""
        assert list(checkpoint.tensors) == ["a"]

    def test_too_deep(self, tmp_path: Path) -> None:
        tree: object = {"a": torch.ones(1)}
        for _ in range(4):
            tree = {"model": tree}
        with pytest.raises(CheckpointError, match="the keys 'model'"):
            read_checkpoint(save(tree, tmp_path / "a.pth"))

    @pytest.mark.parametrize(
        "prefix",
        [
            "model.",
            "net.",
            "network.",
            "backbone.",
            "encoder.",
            "model._orig_mod.",
            "_orig_mod.model.module.",
            "module.model.net.",
        ],
    )
    def test_prefix(self, tmp_path: Path, prefix: str) -> None:
        """As Lightning saves: a state dict among other entries, prefixed by an attribute's name."""
        state = {f"{prefix}{name}": torch.ones(1) for name in ("features.0", "classifier.bias")}
        other = {"epoch": 1, "pytorch-lightning_version": "2.5", "hyper_parameters": {"lr": 0.1}}
        path = save({"state_dict": state, **other}, tmp_path / "a.pth")
        checkpoint = read_checkpoint(path)
        assert (checkpoint.wrapper, checkpoint.prefix) == ("state_dict", prefix)
        assert list(checkpoint.tensors) == ["features.0", "classifier.bias"]

    @pytest.mark.parametrize("names", [("features.0", "features.1"), ("model.a", "loss.b")])
    def test_no_prefix(self, tmp_path: Path, names: tuple[str, str]) -> None:
        path = save({name: torch.ones(1) for name in names}, tmp_path / "a.pth")
        checkpoint = read_checkpoint(path)
        assert (checkpoint.wrapper, checkpoint.prefix) == ("", "")
        assert tuple(checkpoint.tensors) == names

    def test_prefix_that_is_a_name(self, tmp_path: Path) -> None:
        path = save({"model.": torch.ones(1), "model.a": torch.ones(1)}, tmp_path / "a.pth")
        assert read_checkpoint(path).prefix == ""


def test_pickles_of_other_values(tmp_path: Path) -> None:
    """Values other than the weights may be of any plain type."""
    state = {"a": torch.ones(1), "n": None, "t": (1, (2.5, "x")), "l": [[], True], "i": 1 << 70}
    for fmt in FORMATS:
        checkpoint = read_checkpoint(save(state, tmp_path / "a.pth", fmt))
        assert list(checkpoint.tensors) == ["a"]
    assert pickle.HIGHEST_PROTOCOL == 5, "a newer protocol may have newer opcodes"
