"""`keras-effnets serve-demo`: a web page for trying networks on images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from keras_effnets.commands.options import open_model
from keras_effnets.commands.terminal import progress
from weights_tools.formats.terminal import echo


def serve_demo_command(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            help="Names from `list`, .keras files, or folders of fine-tuning runs.",
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
        str, typer.Option(help="Address to listen on; 0.0.0.0 opens the page to the network.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8000,
) -> None:
    """Serve a web page that shows how networks classify an image, how fast, and where they look."""
    try:
        from keras_effnets.commands.demo_page import serve
        from keras_effnets.commands.demo_page.demo_model import DemoModel
    except ImportError as error:
        raise OSError(
            f"serve-demo needs fastapi and uvicorn: pip install 'keras_effnets[page]' ({error})"
        ) from None
    chosen = models or ["efficientnet_lite0"]
    # Only the last part of a path is shown: the page may be open to other people.
    names = [Path(model).name.removesuffix(".keras") for model in chosen]
    if len(set(names)) < len(names):
        raise ValueError(f"models {', '.join(chosen)}: two of them have the same name")
    served = {}
    with progress("Loading", len(chosen)) as advance:
        for name, model in zip(names, chosen, strict=True):
            served[name] = DemoModel(open_model(model, None), engine)
            advance()
    serve(served, host, port, ready=echo)
