"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

NetworkName = Annotated[
    str, typer.Option("--model", "-m", help="The network: a name from `keras-effnets list`.")
]
NamingScheme = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="Library whose names the original's tensors have, such as timm_tf. Default: detected.",
    ),
]
ExtraImages = Annotated[
    list[Path] | None,
    typer.Option("--picture", help="An image to add to the built-in ones; repeatable."),
]
InputSize = Annotated[
    int | None,
    typer.Option("--side", min=32, help="Input size in pixels. Default: the reference's own."),
]
