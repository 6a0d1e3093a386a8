"""Checkpoints that torch.save writes, and whether ours is what torch.load gives."""

import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch

from weights_tools.formats.checkpoint import Checkpoint, read_checkpoint

FORMATS = ("torch zip", "torch legacy")
DTYPES = (
    torch.float64,
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
)


def save(obj: object, path: Path, fmt: str = "torch zip") -> Path:
    torch.save(obj, path, _use_new_zipfile_serialization=fmt == "torch zip")
    return path


def numbers(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    values = torch.randint(-100, 100, shape, generator=generator)
    return values > 0 if dtype is torch.bool else values.to(dtype)


def state_dict() -> OrderedDict[str, torch.Tensor]:
    return OrderedDict(
        [(f"layer.{i}", numbers((3, i + 1), dtype)) for i, dtype in enumerate(DTYPES)]
    )


def assert_same(ours: np.ndarray, theirs: torch.Tensor) -> None:
    theirs = theirs.detach()
    assert ours.shape == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype).removeprefix("torch.")
    assert not ours.flags.writeable
    assert ours.tobytes() == theirs.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def assert_equals_torch(path: Path, fmt: str) -> Checkpoint:
    expected = torch.load(path, weights_only=True)
    checkpoint = read_checkpoint(path)
    assert checkpoint.format == fmt
    assert checkpoint.path == path
    assert checkpoint.metadata == {}
    assert list(checkpoint.tensors) == list(expected)
    for name, tensor in expected.items():
        assert_same(checkpoint.tensors[name], tensor)
    return checkpoint


def small() -> dict[str, torch.Tensor]:
    return {"a": numbers((2, 3), torch.float32), "b": numbers((2,), torch.bfloat16)}


def rezip(path: Path, compression: int = zipfile.ZIP_STORED, **changes: bytes | None) -> Path:
    """Writes the archive again, with entries of it changed, added or (None) left out."""
    with zipfile.ZipFile(path) as archive:
        contents: dict[str, bytes | None] = {
            name.partition("/")[2]: archive.read(name) for name in archive.namelist()
        }
    contents |= {name.replace("__", "."): content for name, content in changes.items()}
    result = path.with_name("rezipped.pth")
    with zipfile.ZipFile(result, "w", compression) as archive:
        for name, content in contents.items():
            if content is not None:
                archive.writestr(f"any folder/{name}", content)
    return result
