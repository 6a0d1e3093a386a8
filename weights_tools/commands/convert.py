"""`weights-tools convert`: a checkpoint into a file that keras_effnets loads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights_tools.formats.terminal import megabytes, show_pairs
from weights_tools.launch import native_messages_dropped

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
    source: Annotated[
        str | None,
        typer.Option(
            "--source", help="Whose names the checkpoint has, such as timm_tf. Default: found out."
        ),
    ] = None,
    no_top: Annotated[
        bool, typer.Option("--no-top", help="Leave the classifier out, and what surrounds it.")
    ] = False,
    allow_nonfinite: Annotated[
        bool, typer.Option("--allow-nonfinite", help="Take NaN and infinity as they are.")
    ] = False,
    stride: Annotated[
        str | None,
        typer.Option(
            help="Of a ResNet's checkpoint: v1 (the paper's) or v1.5. Default: its source's."
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Compare with the original, and keep the figures.")
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(help="With --verify: the original, or a file of `record`. Default: FILE."),
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
    report = convert_file(
        file,
        model,
        target,
        source=source,
        include_top=not no_top,
        allow_nonfinite=allow_nonfinite,
        settings={} if stride is None else {"stride": stride},
        verify=verify,
        against=against,
    )
    seconds = time.perf_counter() - start
    size = report.out.stat().st_size
    show_pairs(
        {
            "wrote": report.out,
            "size": f"{size:,} bytes ({megabytes(size)}), in {seconds:.1f} s",
            "model": report.model,
            "source": f"{report.source} (names found: {report.evidence})",
            "found in": report.place or "the file itself, with nothing around it",
            "profile": report.profile,
            "pictures": f"{_pictures(report)}, by {report.preset_origin}",
            "weights set": report.weights_set or "none that is published",
            "sha256": f"{report.sha256} of the source",
            "classifier": report.head,
            "tensors": f"{report.tensors:,}, {_cast(report)}",
            "left out": _summarised(report.left_out),
            "measured": _measured(report),
            "load with": _loading_line(report),
        }
    )


def _loading_line(report: Report) -> str:
    """Python that makes the model from the file."""
    from keras_effnets.models.registry import get_builder

    path = str(report.out)
    if path.endswith(".keras"):
        return f"import keras, keras_effnets; model = keras.saving.load_model({path!r})"
    options = "" if report.classes == 1000 else f", classes={report.classes}"
    if not report.classes:
        options = ", include_top=False"
    return f"keras_effnets.{get_builder(report.model).__name__}(weights={path!r}{options})"


def _measured(report: Report) -> str:
    found = report.measured
    if not found:
        return "nothing: --verify compares with the original"
    return (
        f"logits within {found['logits']:.1e}, stages within {found['worst_stage']:.1e} of "
        f"{found['reference']}"
    )


def _pictures(report: Report) -> str:
    preset = report.preset
    mean, std = ("/".join(f"{value:g}" for value in values) for values in (preset.mean, preset.std))
    return f"{preset.crop} pixels, mean {mean}, std {std}"


def _cast(report: Report) -> str:
    """Such as "of which 40 cast from float16"."""
    counts = ", ".join(f"{count} cast from {kind}" for kind, count in report.cast.items())
    return f"of which {counts}" if counts else "all float32 there"


def _summarised(names: Sequence[str]) -> str:
    """Such as "49 num_batches_tracked, 1 fc.bias"; names that end alike are counted together."""
    endings = Counter(name.replace("/", ".").rpartition(".")[2] for name in names)
    shown = {
        ending if count > 1 else next(name for name in names if name.endswith(ending)): count
        for ending, count in endings.items()
    }
    return ", ".join(f"{count} {name}" for name, count in shown.items()) or "nothing"
