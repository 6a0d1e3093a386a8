"""`keras-effnets summary`: a network layer by layer."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated, Any

import typer

from keras_effnets.analysis.summary import summary
from keras_effnets.commands.options import (
    MODEL_HELP,
    Weights,
    load_keras_file,
    model_file,
    open_model,
    share_or_name,
)
from keras_effnets.commands.terminal import show
from keras_effnets.models.registry import get_builder, model_info
from keras_effnets.models.surgery import freeze
from keras_effnets.plan.deferred import sketch
from weights_tools.formats.terminal import AsJson, echo, show_json


def summary_command(
    name: Annotated[str, typer.Argument(help=MODEL_HELP)],
    batch: Annotated[int, typer.Option("--batch", min=1, help="Batch size.")] = 1,
    depth: Annotated[
        int, typer.Option("--depth", min=1, help="Levels of nested layers to list.")
    ] = 1,
    side: Annotated[
        int | None, typer.Option(min=1, help="Input size in pixels. Default: that of the weights.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="Number of classes. Default: the network's own.")
    ] = None,
    weights: Weights = None,
    frozen: Annotated[
        str | None,
        typer.Option(
            "--freeze",
            help="Freeze as for fine-tuning: the name of a layer or stage, a share, or all.",
        ),
    ] = None,
    definition: Annotated[
        str, typer.Option(help="How to count multiply-adds: torchinfo or paper.")
    ] = "torchinfo",
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Show a network layer by layer: shapes, parameters, multiply-adds, memory, receptive field.

    For a name, no weights are allocated unless --weights is a checkpoint file.
    """
    if as_json and as_markdown:
        raise ValueError("--json and --markdown are two formats: omit one")
    model = _model(name, side, classes, weights)
    if frozen is not None:
        freeze(model, share_or_name(frozen))
    channels = model.input_shape[-1]
    shape = None if side is None else (side, side, channels)
    found = summary(model, batch, depth=depth, input_shape=shape, definition=definition)
    if as_json:
        show_json(found.as_dict())
    elif as_markdown:
        echo(found.markdown())
    else:
        show(*found.tables(lines=sys.stdout.isatty()))


def _model(name: str, side: int | None, classes: int | None, weights: str | None) -> Any:
    """Builds or loads the model; without weights in memory if no file is needed."""
    path = model_file(name)
    if path is not None:
        if weights is not None or classes is not None:
            raise ValueError(f"{name} has its own weights: omit --weights and --classes")
        return load_keras_file(path)
    info = model_info(name)
    options: dict[str, Any] = {} if classes is None else {"classes": classes}
    default = info.side
    if weights is not None and weights in info.weights:
        published = info.weights[weights]
        options["profile"] = published.profile
        default = published.preset.crop
    elif weights is not None:
        if classes is not None:
            raise ValueError(f"--classes {classes}: {weights} determines the classes; omit one")
        return open_model(name, weights)
    options["input_shape"] = (side or default, side or default, 3)
    return sketch(partial(get_builder(name), weights=None, **options))
