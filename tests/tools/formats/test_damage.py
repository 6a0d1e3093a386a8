"""Cut and damaged checkpoints: each is read unchanged, or refused in one line.

The formats differ in what they can promise. The zip's index is protected by checksums and
redundancy: whichever byte of it changes, nothing else is ever read. The legacy format and
safetensors have no checksums, so a changed letter makes another name; a conversion refuses that,
because every name and shape must fit. `TestLimits` holds damage that nothing can detect.
"""

import io
import pickletools
import random
import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint

torch = pytest.importorskip("torch", reason="torch writes the files that are damaged here")
safetensors_torch = pytest.importorskip(
    "safetensors.torch", reason="safetensors writes the files that are damaged here"
)

FORMATS = ("zip", "legacy", "safetensors")
FLIPS = 200


def save(tensors: dict[str, "torch.Tensor"], path: Path, fmt: str) -> Path:
    if fmt == "safetensors":
        safetensors_torch.save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=fmt == "zip")
    return path


def network() -> dict[str, "torch.Tensor"]:
    torch.manual_seed(1)
    layers = [
        layer
        for width in range(3, 11)
        for layer in (torch.nn.Conv2d(width, width + 1, 3), torch.nn.BatchNorm2d(width + 1))
    ]
    state = torch.nn.Sequential(*layers).state_dict()
    return {name: torch.rand_like(t) if t.ndim else t for name, t in state.items()}


def places_of_index(content: bytes, fmt: str) -> list[int]:
    """The bytes that describe tensors, and not those of the tensors themselves."""
    if fmt == "safetensors":
        return list(range(8 + int.from_bytes(content[:8], "little")))
    if fmt == "legacy":
        stream = io.BytesIO(content)
        for _ in range(5):
            for _ in pickletools.genops(stream):
                pass
        return list(range(stream.tell() + 8))  # the first storage's count, too
    numbers: set[int] = set()
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for entry in archive.infolist():
            if "/data/" in entry.filename:
                lengths = struct.unpack_from("<2H", content, entry.header_offset + 26)
                start = entry.header_offset + 30 + sum(lengths)
                numbers.update(range(start, start + entry.file_size))
    return [place for place in range(len(content)) if place not in numbers]


def flips(content: bytes, fmt: str, count: int, seed: int = 0) -> Iterator[tuple[int, bytes]]:
    """A place in the index, and the file with another byte there."""
    source = random.Random(seed)
    places = places_of_index(content, fmt)
    for _ in range(count):
        place = source.choice(places)
        other = content[place] ^ source.randrange(1, 256)
        yield place, content[:place] + bytes([other]) + content[place + 1 :]


def contents(path: Path) -> dict[str, tuple[object, ...]] | None:
    """Everything that a checkpoint holds, in order; None if it is refused in one line."""
    message = f"{path}: "
    try:
        tensors = read_checkpoint(path).tensors
    except CheckpointError as error:
        message, tensors = str(error), None
    assert message.startswith(f"{path}: ")
    assert message.isprintable(), "not one line"
    if tensors is None:
        return None
    return {name: (t.shape, t.dtype, t.tobytes()) for name, t in tensors.items()}


@pytest.mark.parametrize("fmt", FORMATS)
class TestReader:
    def test_cut(self, tmp_path: Path, fmt: str) -> None:
        content = save(network(), tmp_path / "good", fmt).read_bytes()
        path = tmp_path / "bad"
        for percent in range(100):
            path.write_bytes(content[: len(content) * percent // 100])
            assert contents(path) is None, f"{percent} % of the file passed for all of it"

    def test_flipped(self, tmp_path: Path, fmt: str) -> None:
        path = save(network(), tmp_path / "good", fmt)
        good = contents(path)
        assert good is not None
        outcomes = {"the same": 0, "refused": 0, "other names": 0}
        for place, content in flips(path.read_bytes(), fmt, FLIPS):
            bad = tmp_path / "bad"
            bad.write_bytes(content)
            read = contents(bad)
            if read is None:
                outcomes["refused"] += 1
            elif list(read.items()) == list(good.items()):
                outcomes["the same"] += 1
            else:
                assert fmt != "zip", f"byte {place} changes what is read"
                assert read.keys() != good.keys(), f"byte {place} changes a tensor"
                outcomes["other names"] += 1
        assert outcomes["refused"] > FLIPS / 3, outcomes

    def test_any_name_can_be_read(self, tmp_path: Path, fmt: str) -> None:
        """Otherwise the refusals above would prove nothing."""
        assert contents(save(network(), tmp_path / "good", fmt)) is not None


class TestLimits:
    """Damage that leaves a valid file, which nothing can detect."""

    def test_legacy_stride(self, tmp_path: Path) -> None:
        tensor = torch.arange(8.0).reshape(2, 4)
        path = save({"a": tensor}, tmp_path / "a.pth", "legacy")
        content = path.read_bytes()
        strides = b"K\x04K\x01\x86"
        assert content.count(strides) == 1
        path.write_bytes(content.replace(strides, b"K\x02K\x01\x86"))
        expected = torch.load(path, weights_only=True)["a"]
        assert read_checkpoint(path).tensors["a"].tolist() == expected.tolist()
        assert expected.tolist() != tensor.tolist()

    def test_safetensors_dtype(self, tmp_path: Path) -> None:
        path = save({"a": torch.ones(2)}, tmp_path / "a", "safetensors")
        content = path.read_bytes()
        assert content.count(b"F32") == 1
        path.write_bytes(content.replace(b"F32", b"I32"))
        assert read_checkpoint(path).tensors["a"].dtype == np.int32

    @pytest.mark.parametrize("fmt", FORMATS)
    def test_numbers(self, tmp_path: Path, fmt: str) -> None:
        """Only the zip has checksums of the numbers; `verify` reads them all."""
        tensor = torch.arange(8.0)
        path = save({"a": tensor}, tmp_path / "a", fmt)
        numbers = tensor.numpy().tobytes()
        content = path.read_bytes()
        assert content.count(numbers) == 1
        path.write_bytes(content.replace(numbers, b"\1" + numbers[1:]))
        assert read_checkpoint(path).tensors["a"][0] != 0
        if fmt == "zip":
            with pytest.raises(CheckpointError, match="differs from its checksum"):
                read_checkpoint(path, verify=True)
        else:
            read_checkpoint(path, verify=True)


MODEL = "mobilenet_v2"


@pytest.fixture(scope="module")
def weights() -> dict[str, "torch.Tensor"]:
    """A checkpoint of a real network, with random numbers."""
    from keras_effnets.models.registry import get_builder
    from keras_effnets.plan.deferred import outline
    from keras_effnets.weights.names.rule import AXES

    builder = get_builder(MODEL)
    shapes = outline(partial(builder, weights=None))
    generator = torch.Generator().manual_seed(2)
    tensors = {}
    for rule in builder.config.spellings["torchvision"].rules(builder.config):
        shape = [0] * len(AXES[rule.kind])
        for axis, size in zip(AXES[rule.kind], shapes[rule.target], strict=True):
            shape[axis] = size
        tensors[rule.source] = torch.rand(shape, generator=generator) + 0.5
    return tensors


def converted(path: Path, out: Path) -> dict[str, bytes] | str:
    """The tensors that `convert` writes, or the message of its refusal."""
    from safetensors.numpy import load_file

    from weights_tools.convert import convert

    try:
        convert(path, MODEL, out)
    except CheckpointError as error:
        return str(error)
    return {name: value.tobytes() for name, value in load_file(out).items()}


@pytest.mark.parametrize("fmt", FORMATS)
def test_convert(tmp_path: Path, weights: dict[str, "torch.Tensor"], fmt: str) -> None:
    good = save(weights, tmp_path / "good", fmt)
    content = good.read_bytes()
    expected = converted(good, tmp_path / "good.safetensors")
    assert isinstance(expected, dict)
    folder = tmp_path / "out"
    folder.mkdir()
    bad, out = tmp_path / "bad", folder / "bad.safetensors"
    cuts = [content[: len(content) * percent // 100] for percent in range(0, 100, 10)]
    damaged = [changed for _, changed in flips(content, fmt, 10, seed=3)]
    refused = 0
    for changed in cuts + damaged:
        bad.write_bytes(changed)
        result = converted(bad, out)
        if isinstance(result, str):
            assert str(bad) in result
            assert list(folder.iterdir()) == []
            refused += 1
        else:
            assert result == expected
            out.unlink()
    assert refused > len(cuts)
