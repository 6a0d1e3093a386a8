"""`weights-tools convert`: converts a checkpoint into a file that keras_effnets loads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights_tools.commands.options import NamingScheme, NetworkName
from weights_tools.formats.native_output import native_messages_dropped
from weights_tools.formats.terminal import check_input, check_output, megabytes, show_pairs

if TYPE_CHECKING:
    from weights_tools.convert import ConversionReport


def convert_command(
    file: Annotated[Path, typer.Argument(help="The checkpoint.")],
    model: NetworkName,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The .safetensors, .keras or .weights.h5 file to write. "
            "Default: MODEL.safetensors in the current folder.",
        ),
    ] = None,
    source: NamingScheme = None,
    no_top: Annotated[
        bool,
        typer.Option(
            "--no-top",
            help="Omit the weights that include_top=False leaves out, such as the classifier.",
        ),
    ] = False,
    allow_nonfinite: Annotated[
        bool, typer.Option("--allow-nonfinite", help="Accept NaN and infinite values.")
    ] = False,
    stride: Annotated[
        str | None,
        typer.Option(
            help="For a ResNet: stride placement, v1 (the paper) or v1.5. Default: that of its "
            "library."
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Compare with the original, and record the errors in the file."
        ),
    ] = False,
    against: Annotated[
        Path | None,
        typer.Option(
            help="With --verify: the original, or an .npz file of `record`. Default: FILE."
        ),
    ] = None,
) -> None:
    """Convert a checkpoint into a file that keras_effnets loads. Nothing is written on an error."""
    check_input(file)
    target = Path(f"{model}.safetensors") if out is None else out
    check_output("--out", target)
    with native_messages_dropped():
        from weights_tools.convert import convert

    start = time.perf_counter()
    report = convert(
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
            "source": f"{report.source} (matching names: {report.evidence})",
            "found in": report.place or "the top level of the file",
            "profile": report.profile,
            "images": f"{_preset(report)}, by {report.preset_origin}",
            "weights set": report.weights_set or "not a published one",
            "sha256": f"{report.sha256} of the source",
            "classifier": report.head,
            "tensors": f"{report.tensors:,}, {_cast(report)}",
            "left out": _summarised(report.left_out),
            "measured": _measured(report),
            "load with": _loading_line(report),
        }
    )


def _loading_line(report: ConversionReport) -> str:
    """Formats the Python code that loads the file."""
    from keras_effnets.models.registry import get_builder

    path = str(report.out)
    if path.endswith(".keras"):
        return f"import keras, keras_effnets; model = keras.saving.load_model({path!r})"
    options = "" if report.classes == 1000 else f", classes={report.classes}"
    if not report.classes:
        options = ", include_top=False"
    return f"keras_effnets.{get_builder(report.model).__name__}(weights={path!r}{options})"


def _measured(report: ConversionReport) -> str:
    found = report.measured
    if not found:
        return "no; --verify compares with the original"
    return (
        f"logits within {found['logits']:.1e} and stages within {found['worst_stage']:.1e} of "
        f"{found['reference']}"
    )


def _preset(report: ConversionReport) -> str:
    preset = report.preset
    mean, std = ("/".join(f"{value:g}" for value in values) for values in (preset.mean, preset.std))
    return f"{preset.crop} pixels, mean {mean}, std {std}"


def _cast(report: ConversionReport) -> str:
    """Formats the types that were cast, such as "40 cast from float16"."""
    counts = ", ".join(f"{count} cast from {kind}" for kind, count in report.cast.items())
    return counts or "all float32 originally"


def _summarised(names: Sequence[str]) -> str:
    """Counts names by their ending, such as "49 num_batches_tracked, 1 fc.bias"."""
    endings = Counter(name.replace("/", ".").rpartition(".")[2] for name in names)
    shown = {
        ending if count > 1 else next(name for name in names if name.endswith(ending)): count
        for ending, count in endings.items()
    }
    return ", ".join(f"{count} {name}" for name, count in shown.items()) or "nothing"
