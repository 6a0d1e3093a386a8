"""Reads checkpoints: PyTorch's two formats, safetensors and Keras's files.

Neither torch nor Keras is imported, nothing in a file is executed, and tensors are views of the
memory-mapped file: reading takes no memory beyond the pages that are accessed later.
"""

import mmap
import os
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from weights_tools.formats.keras_format.files import is_keras_file, read_keras_file
from weights_tools.formats.keras_format.layouts import KerasLayer
from weights_tools.formats.printable import printable
from weights_tools.formats.safetensors_file import read_safetensors
from weights_tools.formats.state_dict import check_names, common_prefix, find_state_dict
from weights_tools.formats.tensors import CheckpointError, FormatError
from weights_tools.formats.torch_format.files import LEGACY_MAGIC, TorchFile, read_legacy, read_zip
from weights_tools.formats.zip_archive import ZIP_START

_MAGIC_BYTES = LEGACY_MAGIC.to_bytes(10, "little")
_OTHER_FILES = {
    b"\xff\xd8\xff": "a JPEG image",
    b"\x89PNG": "a PNG image",
    b"\x1f\x8b": "a gzip archive",
    b"<": "an HTML or XML page",
    b"version https://git-lfs": "a Git LFS pointer: the file itself was not downloaded",
    b"\x80": "a pickle that torch.save did not write",
}

# Raised by the standard library and NumPy while they parse damaged bytes.
DAMAGE = (
    ValueError,
    LookupError,
    ArithmeticError,
    EOFError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The tensors of a file, by name, in the file's order.

    Args:
        path: The file.
        format: "torch zip", "torch legacy", "safetensors", "Keras archive", "Keras weights" or
            "Keras HDF5".
        tensors: Read-only views of the mapped file.
        metadata: The metadata in the header of a safetensors or Keras file.
        wrapper: Where the state dict was found, such as "state_dict" or "model_ema.module".
        prefix: The prefix removed from every name, such as "module.".
        layers: The layers that a Keras file describes, by path.
    """

    path: Path
    format: str
    tensors: dict[str, NDArray[Any]]
    metadata: dict[str, str]
    wrapper: str = ""
    prefix: str = ""
    layers: Mapping[str, KerasLayer] = field(default_factory=dict)


def read_checkpoint(path: str | os.PathLike[str], *, verify: bool = False) -> Checkpoint:
    """Reads a `.pth`, `.bin`, `.safetensors`, `.keras` or `.h5` file, recognized by its content.

    The state dict is found inside a training script's dict, values other than tensors are
    ignored, and a prefix that DataParallel, torch.compile or a training module put before every
    name is removed.

    Args:
        path: The file.
        verify: Whether to compare tensors with their checksums, which reads the whole file; only
            zip archives have them. The description of the tensors is always checked.

    Raises:
        CheckpointError: For any problem with the file, in one line.
    """
    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path}: is a directory, not a checkpoint")
    if not path.is_file():
        reason = "is not a regular file" if path.exists() else "no such file"
        raise CheckpointError(f"{path}: {reason}")
    try:
        checkpoint = _read(path, verify)
        check_names(checkpoint.tensors)
        return _without_prefix(checkpoint)
    except FormatError as error:
        raise CheckpointError(f"{path}: {printable(str(error)[:1000])}") from error
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read ({error.strerror or error})") from error
    except DAMAGE as error:
        reason = printable(str(error)[:1000]) or type(error).__name__
        raise CheckpointError(f"{path}: is damaged or truncated ({reason})") from error


def _read(path: Path, verify: bool) -> Checkpoint:
    with path.open("rb") as file:
        if not path.stat().st_size:
            raise FormatError("is empty")
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if is_keras_file(path, data):
        keras_file = read_keras_file(path, data, verify)
        return Checkpoint(
            path,
            keras_file.format,
            keras_file.tensors,
            keras_file.metadata,
            layers=keras_file.layers,
        )
    start = data[:512]
    if start.startswith(ZIP_START):
        return _checkpoint_of(path, "torch zip", read_zip(data, verify))
    if start.startswith(b"\x80") and _MAGIC_BYTES in start[:32]:
        return _checkpoint_of(path, "torch legacy", read_legacy(data))
    if start[257:262] == b"ustar":
        raise FormatError("is a tar archive: torch's very first format is not supported")
    if start[8:9] == b"{":
        return Checkpoint(path, "safetensors", *read_safetensors(data))
    known = [name for prefix, name in _OTHER_FILES.items() if start.startswith(prefix)]
    raise FormatError(", but ".join(["is not a checkpoint", *known]))


def _checkpoint_of(path: Path, kind: str, contents: TorchFile) -> Checkpoint:
    wrapper, found = find_state_dict(contents.tree)
    tensors = {name: contents.array(tensor) for name, tensor in found.items()}
    return Checkpoint(path, kind, tensors, {}, wrapper)


def _without_prefix(checkpoint: Checkpoint) -> Checkpoint:
    prefix = common_prefix(checkpoint.tensors)
    tensors = {name.removeprefix(prefix): value for name, value in checkpoint.tensors.items()}
    return replace(checkpoint, tensors=tensors, prefix=prefix)
