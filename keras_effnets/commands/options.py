"""Options that several commands share, and the model that they name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import keras
import typer

from keras_effnets.images.model_interface import model_preset
from keras_effnets.models.registry import create_model, get_builder, model_info

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ModelName = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A name from `list`, or the path of a .keras file or of a fine-tuning run.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        "-w",
        help="A set's name from `info`, or the path of a checkpoint. Default: the first set.",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch", min=1, help="Pictures computed at once.")]


def open_model(name: str, weights: str | None) -> Any:
    """The model that `--model` and `--weights` name.

    Raises:
        ValueError: For a name, weights or a file that do not do.
        FileNotFoundError: If there is no such file.
    """
    if (Path(name) / "best.keras").is_file():
        name = str(Path(name) / "best.keras")
    if name.endswith(".keras"):
        if weights is not None:
            raise ValueError(f"--weights {weights!r}: {name} brings its own; leave this out")
        network = load_keras_file(name)
        model_preset(network)  # refuses a model that is no classifier of pictures
        return network
    get_builder(name)
    if weights is None and default_set(name) is None:
        raise ValueError(f"{name} has no published weights: pass --weights and a checkpoint's path")
    return create_model(name, weights=weights or "imagenet")


def load_keras_file(path: str) -> Any:
    """The model in a .keras file.

    Raises:
        ValueError: For a file that holds none.
        FileNotFoundError: If there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"--model {path!r}: there is no such file")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises nearly everything for a damaged file
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: can't be loaded as a Keras model: {reason}") from error


def default_set(name: str) -> str | None:
    """The published set that a network gets by default, if `name` is a network's and has one."""
    if name.endswith(".keras") or Path(name).is_dir():
        return None
    return next(iter(model_info(name).weights), None)
