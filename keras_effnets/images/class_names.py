"""Names for a model's classes."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Prediction(NamedTuple):
    """One class that a model predicts for an image.

    Attributes:
        id: The WordNet id ("n01440764") of an ImageNet class; otherwise the same as `name`.
        name: The class in words.
        score: The model's output for the class: a probability if the model ends in a softmax.
    """

    id: str
    name: str
    score: float


def decode_predictions(
    predictions: ArrayLike, top: int = 5, labels: Sequence[str] | None = None
) -> list[list[Prediction]]:
    """Names the classes with the highest scores.

    Args:
        predictions: (B, classes), one row per image.
        top: How many classes to name for each image.
        labels: The names in class order; None as in `class_names`.

    Returns:
        For each image, `top` predictions by falling score; equal scores by class index.

    Raises:
        ValueError: `predictions` has another number of dimensions or isn't numeric, `top` is
            not within 1–classes, or there is not one label per class.
    """
    scores = np.asarray(predictions)
    if scores.ndim != 2:
        raise ValueError(f"predictions has shape {scores.shape}: expected (B, classes)")
    if not np.can_cast(scores.dtype, np.float64, "same_kind"):
        raise ValueError(f"predictions has type {scores.dtype}: expected numbers")
    scores = scores.astype(np.float64)
    classes = scores.shape[1]
    try:
        count = operator.index(top)
    except TypeError:
        count = 0
    if not 1 <= count <= classes:
        raise ValueError(
            f"top={top!r}: expected an integer from 1 to {classes}, the number of classes"
        )
    names = class_names(classes, labels)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return [
        [Prediction(names[index][0], names[index][1], float(row[index])) for index in order]
        for row, order in zip(scores, best, strict=True)
    ]


def class_names(classes: int, labels: Sequence[str] | None = None) -> Sequence[tuple[str, str]]:
    """Returns (id, name) of each class.

    Args:
        classes: The number of classes.
        labels: The names in class order. Without them, 1000 classes are assumed to be ImageNet's,
            and other classes are named by their index ("0", "1", …).

    Raises:
        ValueError: There is not one label per class.
    """
    if labels is None and classes == 1000:
        return imagenet_classes()
    # A string is a sequence of names too, but never meant as one.
    if isinstance(labels, str) or (labels is not None and len(labels) != classes):
        given = repr(labels) if isinstance(labels, str) else f"{len(labels)} names"
        raise ValueError(f"labels: {given}, expected {classes} names, one per class")
    names = map(str, range(classes) if labels is None else labels)
    return [(name, name) for name in names]


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Returns the 1000 ImageNet classes in the order of the outputs: (WordNet id, name)."""
    text = resources.files(__package__).joinpath("imagenet_classes.txt").read_text("utf-8")
    pairs = (line.split(" ", 1) for line in text.splitlines())
    return tuple((wordnet_id, name) for wordnet_id, name in pairs)
