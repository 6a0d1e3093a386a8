"""Samples of the activations that pass through a network.

A point is the input or output of a sublayer, such as `stage1_block0/expand/conv:input`. Points are
in the order in which the network computes them, and arrays have Keras's order of axes.
"""

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES = 16_384
"""The most values that are kept per point, over all images."""
LOGITS = "classifier/dense:output"
MEANS = "classifier:output"
"""The logits of a convolutional classifier: the mean of each class's map."""
PREPARED = "preprocessing:output"


@dataclass(frozen=True, slots=True)
class Samples:
    """Samples of one point.

    Attributes:
        shape: Shape of the whole activation for one image: (H, W, C) or (C,).
        values: (B, n), evenly spaced values of each image.
    """

    shape: tuple[int, ...]
    values: NDArray[np.floating[Any]]


class Observer:
    """Collects samples one image at a time, so that only one activation is in memory."""

    def __init__(self, pictures: int) -> None:
        self._limit = max(1, VALUES // pictures)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._values: dict[str, list[NDArray[Any]]] = {}

    def see(self, point: str, value: NDArray[Any]) -> None:
        """Keeps samples of one image's `value` (1, ..., C)."""
        limit = value.size if point in (LOGITS, MEANS) else self._limit
        self._shapes[point] = value.shape[1:]
        self._values.setdefault(point, []).append(value.ravel()[:: step(value.size, limit)].copy())

    def samples(self) -> dict[str, Samples]:
        """Returns the samples by point, in the order in which the points were first seen."""
        return {
            point: Samples(self._shapes[point], np.stack(values))
            for point, values in self._values.items()
        }


def logits_point(points: Container[str]) -> str:
    """Returns the point that holds the logits."""
    return MEANS if MEANS in points else LOGITS


def step(size: int, limit: int) -> int:
    """Returns the distance between samples of `size` values such that at most `limit` are kept.

    The step is coprime with `size`, and so with the number of channels: the samples cover all
    channels and columns evenly.
    """
    found = -(-size // max(1, limit))
    while math.gcd(found, size) > 1 and found < size:
        found += 1
    return found


def error(candidate: Samples | None, reference: Samples) -> float:
    """max|Δ| / max|reference|; infinite if the shapes differ or a value is not finite."""
    if candidate is None or candidate.shape != reference.shape:
        return math.inf
    return relative_error(candidate.values, reference.values)


def relative_error(candidate: NDArray[Any], reference: NDArray[Any]) -> float:
    """max|Δ| / max|reference|; infinite if the shapes differ or a value is not finite."""
    if candidate.shape != reference.shape:
        return math.inf
    difference = float(np.abs(np.subtract(candidate, reference, dtype=np.float64)).max())
    if difference == 0:
        return 0.0
    largest = float(np.abs(reference).max())
    found = difference / largest if largest else math.inf
    return found if math.isfinite(found) else math.inf
