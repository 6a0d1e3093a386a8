"""`keras-effnets serve-demo`: a page that shows what networks make of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_effnets.commands.options import open_model
from keras_effnets.commands.terminal import echo, progress


def serve_demo_command(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names from `list`, .keras files, fine-tuning runs.",
            show_default="efficientnet_lite0",
        ),
    ] = None,
    engine: Annotated[
        str,
        typer.Option(
            help="tensorflow, litert, onnxruntime, openvino, keras, or auto for the fastest here."
        ),
    ] = "auto",
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 opens the page to the network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8000,
) -> None:
    """Open a page where pictures are dropped: classes, time, and where the network looks."""
    try:
        from keras_effnets.commands.demo_page import serve
        from keras_effnets.commands.demo_page.viewer import Viewer
    except ImportError as error:
        raise OSError(
            "serve-demo needs the packages fastapi and uvicorn; "
            f"pip install 'keras_effnets[page]' brings them ({error})"
        ) from None
    chosen = models or ["efficientnet_lite0"]
    # Of a path only its end is shown: the page may be open to others.
    names = [Path(model).name.removesuffix(".keras") for model in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"models {', '.join(chosen)}: two of them are called the same")
    viewers = {}
    with progress("Loading", len(chosen)) as advance:
        for name, model in zip(names, chosen, strict=True):
            viewers[name] = Viewer(open_model(model, None), engine)
            advance()
    serve(viewers, host, port, ready=echo)
