"""`weights-tools inspect`: what a checkpoint holds. Imports no Keras."""

import contextlib
import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from weights_tools.checkpoint import Checkpoint, CheckpointError, read_checkpoint
from weights_tools.terminal import megabytes, show_columns, show_json, show_pairs

OURS = "keras_effnets"
"""The key in a safetensors header by which a file of this project is known."""


def inspect(
    file: Annotated[Path, typer.Argument(help="A .pth, .pt, .bin or .safetensors file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a checkpoint holds, without running anything that is in it."""
    checkpoint = read_checkpoint(file)
    tensors = checkpoint.tensors
    dtypes = Counter(str(tensor.dtype) for tensor in tensors.values())
    # What is not of a float type counts batches or holds indices.
    parameters = sum(t.size for t in tensors.values() if t.dtype.kind not in "iub")
    size = sum(tensor.nbytes for tensor in tensors.values())
    metadata = {key: _decoded(value) for key, value in checkpoint.metadata.items()}
    digests = metadata.pop("digests", {})
    if OURS in metadata:
        _check_digests(checkpoint, digests)
    if as_json:
        show_json(
            {
                "path": str(file),
                "format": checkpoint.format,
                "ours": OURS in metadata,
                "tensor_count": len(tensors),
                "parameters": parameters,
                "bytes": size,
                "dtypes": dtypes,
                "metadata": metadata,
                "tensors": [
                    {"name": name, "shape": tensor.shape, "dtype": str(tensor.dtype)}
                    for name, tensor in tensors.items()
                ],
            }
        )
        return
    kind = f"{checkpoint.format}, written by keras_effnets" if OURS in metadata else ""
    facts = {
        "file": file,
        "format": kind or checkpoint.format,
        "tensors": f"{len(tensors):,}",
        "parameters": f"{parameters:,}, running statistics among them",
        "bytes": f"{size:,} ({megabytes(size)})",
        "dtypes": ", ".join(f"{dtype} {count}" for dtype, count in dtypes.most_common()),
    }
    if OURS in metadata:
        facts["digests"] = f"of all {len(tensors):,} tensors match"
    show_pairs(facts)
    if metadata:
        typer.echo("\nmetadata")
        show_pairs({f"  {key}": _compact(value) for key, value in metadata.items()})
    typer.echo()
    rows = [
        (name, " x ".join(map(str, tensor.shape)) or "scalar", str(tensor.dtype))
        for name, tensor in tensors.items()
    ]
    show_columns([("Name", "Shape", "Type"), *rows])


# `keras_effnets.weights_file` does this too when it reads a tensor; importing it brings Keras.
def _check_digests(checkpoint: Checkpoint, recorded: Any) -> None:
    """Raises CheckpointError at the first tensor that is not what was written."""
    expected = recorded if isinstance(recorded, dict) else {}
    for name, tensor in checkpoint.tensors.items():
        values: NDArray[np.uint8] = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
        found = hashlib.blake2b(values.data, digest_size=16).hexdigest()
        if found != expected.get(name):
            raise CheckpointError(
                f"{checkpoint.path}: {name} was changed or damaged since the file was written: "
                f"its digest is {found}, and {expected.get(name, 'none')} is recorded"
            )


def _decoded(value: str) -> Any:
    """A value of a safetensors header, which are all strings, some of them JSON."""
    with contextlib.suppress(ValueError):
        return json.loads(value) if value[:1] in ("{", "[") else value
    return value


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_compact(each)}" for key, each in value.items())
    return str(value)
