"""`weights-tools convert`: a checkpoint into a file that keras_effnets loads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights_tools.launch import native_messages_dropped
from weights_tools.terminal import megabytes, show_pairs

if TYPE_CHECKING:
    from weights_tools.convert import Report


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
    show_pairs(
        {
            "wrote": report.out,
            "size": f"{size:,} bytes ({megabytes(size)}), in {seconds:.1f} s",
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
