"""`keras-effnets look`: where in a picture a network sees a class, and what its layers give."""

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
from keras_effnets.commands.terminal import complain, listing, literal, show
from keras_effnets.images.labels import imagenet_classes
from keras_effnets.images.preprocessing import load_image
from keras_effnets.prediction.evaluation import model_labels, model_preset, predict_pictures
from weights_tools.formats.our_format import replacing


def look_command(
    picture: Annotated[Path, typer.Argument(help="A picture file.")],
    model: ModelName,
    out: Annotated[Path, typer.Option(help="What to draw: a PNG.")],
    weights: Weights = None,
    top: Annotated[int, typer.Option("--top", "-t", min=1, help="Classes to show, at most.")] = 3,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", "-c", help="Show this one, by name or number; may be repeated."),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(help="Whose maps tell the place. Default: the last convolution's."),
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="Draw this layer's maps side by side, and no heat.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="With --features: maps, at most.")] = 64,
) -> None:
    """Draw where in a picture a network sees its classes (Grad-CAM), or a layer's maps."""
    if out.suffix.lower() != ".png":
        raise ValueError(f"--out {str(out)!r}: expected a path ending in .png")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"--out {str(out)!r}: there is no folder {out.parent}")
    if features is not None and (classes or layer):
        raise ValueError(f"--features {features!r} draws no heat: leave --class and --layer out")
    if not picture.is_file():  # before a model is loaded for nothing
        raise FileNotFoundError(f"{picture}: there is no such file")
    network = open_model(model, weights)
    if features is not None:
        drawn = feature_grid(feature_maps(network, picture, features), limit=limit)
    else:
        drawn = _heats(network, picture, classes or [], top, layer)
    with replacing(out) as file:
        drawn.save(file, format="PNG")
    complain(f"drew {out}")


def _heats(
    network: Any, picture: Path, wanted: list[str], top: int, layer: str | None
) -> Image.Image:
    """The picture as the network sees it, and the heat of each class; prints their scores."""
    (outcome,) = predict_pictures(network, [picture])
    if outcome.scores is None:
        raise ValueError(outcome.error)
    scores = outcome.scores
    names = _class_names(len(scores), model_labels(network))
    indices = [_class(text, names) for text in wanted]
    if not indices:
        indices = [int(index) for index in np.argsort(-scores, kind="stable")[:top]]
    cam = GradCAM(network, layer)
    pixels = load_image(picture, model_preset(network))
    cards = [(Image.fromarray(pixels.astype(np.uint8)), picture.name)]
    table = listing("Class", ">Score")
    for index in indices:
        cards.append((overlay(pixels, cam(pixels, index)), f"{scores[index]:.1%} {names[index]}"))
        table.add_row(literal(names[index]), f"{scores[index]:.1%}")
    show(table)
    return captioned(cards)


def _class_names(classes: int, labels: Sequence[str] | None) -> list[str]:
    if labels is not None:
        return list(labels)
    if classes == 1000:
        return [name for _, name in imagenet_classes()]
    return [str(index) for index in range(classes)]


def _class(text: str, names: list[str]) -> int:
    """The index of a class by its name, or of its number."""
    if text in names:  # ImageNet has both a cardigan and a Cardigan
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    folded = [name.casefold() for name in names]
    if text.casefold() in folded:
        return folded.index(text.casefold())
    near = difflib.get_close_matches(text, names, n=3)
    hint = f"; near are {', '.join(near)}" if near else ""
    raise ValueError(f"--class {text!r} is no class, nor a number below {len(names)}{hint}")
