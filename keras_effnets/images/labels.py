"""From a model's outputs to the names of classes."""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Prediction(NamedTuple):
    """One class that a model names for a picture.

    Attributes:
        id: The WordNet id ("n01440764") of an ImageNet class, else the same as `name`.
        name: The class in words.
        score: The model's output for it: a probability, if the model ends in a softmax.
    """

    id: str
    name: str
    score: float


def decode_predictions(
    predictions: ArrayLike, top: int = 5, labels: Sequence[str] | None = None
) -> list[list[Prediction]]:
    """Names the classes with the highest scores.

    Args:
        predictions: (B, classes), one row a picture.
        top: How many classes to name for each picture.
        labels: The names in class order. Without them 1000 classes are taken for ImageNet's,
            and other classes are called by their index ("0", "1", …).

    Returns:
        For each picture, `top` predictions by falling score; equal scores by class index.

    Raises:
        ValueError: `predictions` has another number of dimensions or isn't numeric, `top` is
            not within 1–classes, or there is not one label a class.
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
        raise ValueError(f"top={top!r}: expected an integer from 1 to {classes}, the classes")

    known: Sequence[tuple[str, str]]
    if labels is not None:
        # A string is a sequence of names too, but nobody means that.
        if isinstance(labels, str) or len(labels) != classes:
            given = repr(labels) if isinstance(labels, str) else f"{len(labels)} names"
            raise ValueError(f"labels: {given}, expected {classes} names, one a class")
        known = [(str(name), str(name)) for name in labels]
    elif classes == 1000:
        known = imagenet_classes()
    else:
        known = [(str(index), str(index)) for index in range(classes)]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return [
        [Prediction(known[index][0], known[index][1], float(row[index])) for index in order]
        for row, order in zip(scores, best, strict=True)
    ]


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Returns the 1000 ImageNet classes in the order of the outputs: (WordNet id, name)."""
    text = resources.files(__package__).joinpath("imagenet_classes.txt").read_text("utf-8")
    pairs = (line.split(" ", 1) for line in text.splitlines())
    return tuple((wordnet_id, name) for wordnet_id, name in pairs)
