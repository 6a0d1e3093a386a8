"""`keras-effnets look`: where in an image a network sees a class, and a layer's feature maps."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from keras_effnets.analysis.seeing import GradCAM, feature_grid, feature_maps, overlay
from keras_effnets.analysis.seeing.panels import captioned
from keras_effnets.commands.options import ModelName, Weights, open_model
from keras_effnets.commands.terminal import column_table, literal, show
from keras_effnets.images.class_names import imagenet_classes
from keras_effnets.images.model_interface import model_labels, model_preset
from keras_effnets.images.preprocessing import load_image
from keras_effnets.prediction.evaluation import predict_images
from weights_tools.formats.atomic import replacing
from weights_tools.formats.terminal import check_output, complain


def look_command(
    picture: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    model: ModelName,
    out: Annotated[Path, typer.Option(help="The .png file to write.")],
    weights: Weights = None,
    top: Annotated[
        int, typer.Option("--top", "-t", min=1, help="Number of the likeliest classes to show.")
    ] = 3,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class", "-c", help="Show this class instead, by name or number; repeatable."
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="The layer whose maps locate the class. Default: the last convolution."),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="Draw the feature maps of this layer side by side, and no heat map."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="With --features: the largest number of maps to draw.")
    ] = 64,
) -> None:
    """Draw where in an image a network sees its classes (Grad-CAM), or a layer's feature maps."""
    check_output("--out", out, ".png")
    if features is not None and (classes or layer):
        raise ValueError(f"--features {features!r} draws no heat map: omit --class and --layer")
    if not picture.is_file():  # before the model is loaded
        raise FileNotFoundError(f"{picture}: there is no such file")
    network = open_model(model, weights)
    if features is not None:
        drawn = feature_grid(feature_maps(network, picture, features), limit=limit)
    else:
        drawn = _heat_maps(network, picture, classes or [], top, layer)
    with replacing(out) as file:
        drawn.save(file, format="PNG")
    complain(f"drew {out}")


def _heat_maps(
    network: Any, path: Path, wanted: list[str], top: int, layer: str | None
) -> Image.Image:
    """Draws the input image and the heat map of each class, and prints the classes' scores."""
    (outcome,) = predict_images(network, [path])
    if outcome.scores is None:
        raise ValueError(outcome.error)
    scores = outcome.scores
    names = _class_names(len(scores), model_labels(network))
    indices = [_class_index(text, names) for text in wanted]
    if not indices:
        indices = [int(index) for index in np.argsort(-scores, kind="stable")[:top]]
    cam = GradCAM(network, layer)
    pixels = load_image(path, model_preset(network))
    panels = [(Image.fromarray(pixels.astype(np.uint8)), path.name)]
    table = column_table("Class", ">Score")
    for index in indices:
        panels.append((overlay(pixels, cam(pixels, index)), f"{scores[index]:.1%} {names[index]}"))
        table.add_row(literal(names[index]), f"{scores[index]:.1%}")
    show(table)
    return captioned(panels)


def _class_names(classes: int, labels: Sequence[str] | None) -> list[str]:
    if labels is not None:
        return list(labels)
    if classes == 1000:
        return [name for _, name in imagenet_classes()]
    return [str(index) for index in range(classes)]


def _class_index(text: str, names: list[str]) -> int:
    """Finds a class by its name, or by its number."""
    if text in names:  # exact case first: ImageNet has both a cardigan and a Cardigan
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    folded = [name.casefold() for name in names]
    if text.casefold() in folded:
        return folded.index(text.casefold())
    near = difflib.get_close_matches(text, names, n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise ValueError(
        f"--class {text!r}: expected the name of a class, or a number below {len(names)}{hint}"
    )
