"""Options that several commands share, and the model that they select."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import keras
import typer

from keras_effnets.images.model_interface import model_preset
from keras_effnets.models.registry import create_model, get_builder, model_info

MODEL_HELP = "A name from `list`, a .keras file, or the folder of a fine-tuning run."

ModelName = Annotated[str, typer.Option("--model", "-m", help=MODEL_HELP)]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        "-w",
        help="The name of a weights set from `info`, or a checkpoint file. Default: the first set.",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch", min=1, help="Batch size.")]


def open_model(name: str, weights: str | None) -> Any:
    """Builds or loads the model that `--model` and `--weights` select.

    Raises:
        ValueError: For an unknown name, a file that is not a classifier of images, or weights
            that are unknown or don't fit.
        FileNotFoundError: If a file does not exist.
    """
    path = model_file(name)
    if path is not None:
        if weights is not None:
            raise ValueError(f"--weights {weights!r}: {name} has its own weights; omit --weights")
        model = load_keras_file(path)
        model_preset(model)  # raises if the model does not classify images
        return model
    get_builder(name)
    if weights is None and default_weights(name) is None:
        raise ValueError(f"{name} has no published weights: pass a checkpoint file with --weights")
    return create_model(name, weights=weights or "imagenet")


def model_file(name: str) -> Path | None:
    """Returns the .keras file that `--model` names, directly or as a run's folder."""
    path = Path(name)
    if (path / "best.keras").is_file():
        return path / "best.keras"
    return path if name.endswith(".keras") else None


def load_keras_file(path: Path) -> Any:
    """Loads the model in a .keras file.

    Raises:
        ValueError: If the file can't be loaded.
        FileNotFoundError: If it does not exist.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--model {str(path)!r}: there is no such file")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises almost any type for a damaged file
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: can't be loaded as a Keras model: {reason}") from error


def default_weights(name: str) -> str | None:
    """Returns the weights set that a network gets by default; None for files and run folders."""
    if name.endswith(".keras") or Path(name).is_dir():
        return None
    return next(iter(model_info(name).weights), None)


def share_or_name(text: str) -> str | float:
    """Parses the frozen share of a network, or the name of a stage or layer."""
    try:
        return float(text)
    except ValueError:
        return text
