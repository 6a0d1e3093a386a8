"""`weights-tools inspect`: lists the contents of a checkpoint. Imports no Keras."""

import contextlib
import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from weights_tools.formats.checkpoint import read_checkpoint
from weights_tools.formats.our_format import OURS, check_digests
from weights_tools.formats.terminal import AsJson, megabytes, show_columns, show_json, show_pairs


def inspect_command(
    file: Annotated[
        Path, typer.Argument(help="A .pth, .pt, .bin, .safetensors, .keras or .weights.h5 file.")
    ],
    as_json: AsJson = False,
) -> None:
    """Show the contents of a checkpoint without executing anything in it."""
    checkpoint = read_checkpoint(file)
    tensors = checkpoint.tensors
    dtypes = Counter(str(tensor.dtype) for tensor in tensors.values())
    # Integer tensors are batch counters or indices, not parameters.
    parameters = sum(t.size for t in tensors.values() if t.dtype.kind not in "iub")
    size = sum(tensor.nbytes for tensor in tensors.values())
    metadata = {key: _decoded(value) for key, value in checkpoint.metadata.items()}
    metadata.pop("digests", None)
    if OURS in metadata:
        check_digests(checkpoint)
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
        "parameters": f"{parameters:,}, including running statistics",
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


def _decoded(value: str) -> Any:
    """Parses a value of a safetensors header: always a string, sometimes JSON."""
    with contextlib.suppress(ValueError):
        return json.loads(value) if value[:1] in ("{", "[") else value
    return value


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_compact(each)}" for key, each in value.items())
    return str(value)
