"""The `weights-tools` command. `inspect` reads a file without Keras; only `convert` imports it."""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from weights_tools.checkpoint import read_checkpoint
from weights_tools.launch import native_messages_dropped

if TYPE_CHECKING:
    from weights_tools.convert import Report

F = TypeVar("F", bound=Callable[..., None])
OURS = "keras_effnets"
"""The key in a safetensors header by which a file of this project is known."""

app = typer.Typer(
    name="weights-tools",
    help="Looks into checkpoints of other libraries, and converts them for keras_effnets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Runs the command. Exits 2 for a user's mistake, 1 for a failure, 130 when interrupted."""
    app(prog_name="weights-tools")


# `keras_effnets.terminal` does the same for the other command, but importing it imports Keras.
def _command(function: F) -> F:
    """Makes a function a command whose errors are a message on standard error and an exit code."""

    @functools.wraps(function)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except BrokenPipeError:
            raise  # typer's own business
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (ValueError, FileNotFoundError) as error:  # a CheckpointError is a ValueError
            _complain(str(error))
            raise typer.Exit(2) from error
        except OSError as error:
            _complain(str(error))
            raise typer.Exit(1) from error
        except Exception as error:  # a command never ends in a traceback
            _complain(f"{type(error).__name__}: {error}")
            raise typer.Exit(1) from error

    app.command(function.__name__)(guarded)
    return function


@_command
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
    if as_json:
        _show_json(
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
        "bytes": f"{size:,} ({_megabytes(size)})",
        "dtypes": ", ".join(f"{dtype} {count}" for dtype, count in dtypes.most_common()),
    }
    _show_pairs(facts)
    if metadata:
        typer.echo("\nmetadata")
        _show_pairs({f"  {key}": _compact(value) for key, value in metadata.items()})
    typer.echo()
    rows = [
        (name, " x ".join(map(str, tensor.shape)) or "scalar", str(tensor.dtype))
        for name, tensor in tensors.items()
    ]
    _show_columns([("Name", "Shape", "Type"), *rows])


@_command
def convert(
    file: Annotated[Path, typer.Argument(help="The checkpoint.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="Its network, a name from `keras-effnets list`.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .safetensors, .keras or .weights.h5. "
            "Default: the model's name and .safetensors, in this folder.",
        ),
    ] = None,
) -> None:
    """Convert a checkpoint into a file that keras_effnets loads; nothing is written if it can't."""
    if not file.exists():  # before Keras is imported for nothing
        raise FileNotFoundError(f"{file}: there is no such file")
    target = Path(f"{model}.safetensors") if out is None else out
    if not target.parent.is_dir():
        raise FileNotFoundError(f"--out {str(target)!r}: there is no folder {target.parent}")
    with native_messages_dropped():
        from weights_tools.convert import convert as convert_file

    start = time.perf_counter()
    report = convert_file(file, model, target)
    seconds = time.perf_counter() - start
    size = report.out.stat().st_size
    _show_pairs(
        {
            "wrote": report.out,
            "size": f"{size:,} bytes ({_megabytes(size)}), in {seconds:.1f} s",
            "model": report.model,
            "source": f"{report.source} (names found: {report.evidence})",
            "profile": report.profile,
            "weights set": report.weights_set or "none that is published",
            "sha256": f"{report.sha256} of the source",
            "tensors": f"{report.tensors:,}",
            "left out": _summarised(report.left_out),
            "load with": _loading_line(report),
        }
    )


def _loading_line(report: Report) -> str:
    """Python that makes the model from the file."""
    from keras_effnets.registry import get_builder

    path = str(report.out)
    if path.endswith(".keras"):
        return f"import keras, keras_effnets; model = keras.saving.load_model({path!r})"
    options = f", classes={report.classes}" if report.classes != 1000 else ""
    return f"keras_effnets.{get_builder(report.model).__name__}(weights={path!r}{options})"


def _summarised(names: Sequence[str]) -> str:
    """Such as "49 num_batches_tracked, 1 fc.bias"; names that end alike are counted together."""
    endings = Counter(name.rpartition(".")[2] for name in names)
    shown = {
        ending if count > 1 else next(name for name in names if name.endswith(ending)): count
        for ending, count in endings.items()
    }
    return ", ".join(f"{count} {name}" for name, count in shown.items()) or "nothing"


def _complain(message: str) -> None:
    lines = f"error: {message}".split("\n")
    typer.echo("\n".join(map(_printable, lines)), err=True)


def _show_json(value: Any) -> None:
    typer.echo(json.dumps(value, indent=2))


def _show_pairs(pairs: dict[str, Any]) -> None:
    _show_columns([(key, str(value)) for key, value in pairs.items()])


def _show_columns(rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, two spaces apart; the same on a terminal and in a pipe."""
    shown = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _printable(text: str) -> str:
    """The text with what is no visible character escaped: names in a file may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _decoded(value: str) -> Any:
    """A value of a safetensors header, which are all strings, some of them JSON."""
    with contextlib.suppress(ValueError):
        return json.loads(value) if value[:1] in ("{", "[") else value
    return value


def _compact(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_compact(each)}" for key, each in value.items())
    return str(value)


def _megabytes(size: int) -> str:
    return f"{size / 10 ** (6 if size >= 1e6 else 3):.1f} {'MB' if size >= 1e6 else 'kB'}"
