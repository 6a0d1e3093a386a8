"""`keras-effnets summary`: what a network consists of, layer by layer."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_effnets.analysis.summary import summary
from keras_effnets.commands.options import AsJson, Weights, load_keras_file, open_model
from keras_effnets.commands.terminal import echo, show, show_json
from keras_effnets.models.registry import get_builder, model_info
from keras_effnets.models.surgery import freeze
from keras_effnets.plan.deferred import sketch


def summary_command(
    name: Annotated[
        str,
        typer.Argument(help="A name from `list`, or the path of a .keras file or of a run."),
    ],
    batch: Annotated[int, typer.Option("--batch", min=1, help="Pictures in a batch.")] = 1,
    depth: Annotated[
        int, typer.Option("--depth", min=1, help="How deep to list the layers inside layers.")
    ] = 1,
    side: Annotated[
        int | None, typer.Option(min=1, help="Of the pictures. Default: that of the weights.")
    ] = None,
    classes: Annotated[int | None, typer.Option(min=1, help="Of the classifier.")] = None,
    weights: Weights = None,
    frozen: Annotated[
        str | None,
        typer.Option("--freeze", help="As for fine-tuning: a layer, a stage, a share, or all."),
    ] = None,
    definition: Annotated[
        str, typer.Option(help="Of multiply-adds: torchinfo or paper.")
    ] = "torchinfo",
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
) -> None:
    """Show a network layer by layer: shapes, parameters, multiply-adds, memory, receptive field.

    For a name no weights are allocated, unless --weights is the path of a checkpoint.
    """
    if as_json and as_markdown:
        raise ValueError("--json and --markdown are two formats: leave one out")
    model = _model(name, side, classes, weights)
    if frozen is not None:
        freeze(model, _place(frozen))
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
    """The model that is meant: its outline, if that will do."""
    if name.endswith(".keras") or (Path(name) / "best.keras").is_file():
        if weights is not None or classes is not None:
            raise ValueError(f"{name} brings weights and classes: leave --weights, --classes out")
        path = Path(name)
        return load_keras_file(str(path if path.suffix == ".keras" else path / "best.keras"))
    info = model_info(name)
    options: dict[str, Any] = {} if classes is None else {"classes": classes}
    default = info.side
    if weights is not None and weights in info.weights:
        published = info.weights[weights]
        options["profile"] = published.profile
        default = published.preset.crop
    elif weights is not None:
        if classes is not None:
            raise ValueError(f"--classes {classes}: {weights} settles them; leave one out")
        return open_model(name, weights)
    options["input_shape"] = (side or default, side or default, 3)
    return sketch(partial(get_builder(name), weights=None, **options))


def _place(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
