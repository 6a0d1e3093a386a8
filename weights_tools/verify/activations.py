"""What passed through a network: samples of its sublayers' inputs and outputs.

A point is a sublayer's path and a side of it, `stage1_block0/expand/conv:input`. Points are in
the order in which the network computes them, and arrays in Keras's order of axes.
"""

import math
from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES = 16_384
"""At most so many values are kept of a point, over all pictures."""
LOGITS = "classifier/dense:output"
MEANS = "classifier:output"
"""The logits where the classifier is a convolution: the mean of each class's map."""
PREPARED = "preprocessing:output"


@dataclass(frozen=True, slots=True)
class Samples:
    """What was seen at one point.

    Attributes:
        shape: Of the whole, for one picture: (H, W, C) or (C,).
        values: (B, n), every so-many-th of each picture's values.
    """

    shape: tuple[int, ...]
    values: NDArray[np.floating[Any]]


class Observer:
    """Collects samples, one picture after the other, so that one activation is in memory."""

    def __init__(self, pictures: int) -> None:
        self._limit = max(1, VALUES // pictures)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._values: dict[str, list[NDArray[Any]]] = {}

    def see(self, point: str, value: NDArray[Any]) -> None:
        """Keeps samples of one picture's `value` (1, ..., C)."""
        limit = value.size if point in (LOGITS, MEANS) else self._limit
        self._shapes[point] = value.shape[1:]
        self._values.setdefault(point, []).append(value.ravel()[:: step(value.size, limit)].copy())

    def samples(self) -> dict[str, Samples]:
        """By point, in the order in which they were first seen."""
        return {
            point: Samples(self._shapes[point], np.stack(values))
            for point, values in self._values.items()
        }


def logits_point(points: Container[str]) -> str:
    """Which of `points` holds the logits."""
    return MEANS if MEANS in points else LOGITS


def step(size: int, limit: int) -> int:
    """How far apart the samples of `size` values are, so that no more than `limit` are kept.

    It has no divisor in common with `size`, and so none with the number of channels: the samples
    go through all channels and all columns alike.
    """
    found = -(-size // max(1, limit))
    while math.gcd(found, size) > 1 and found < size:
        found += 1
    return found


def error(candidate: Samples | None, reference: Samples) -> float:
    """max|Δ| / max|reference|; infinite where the shapes differ or a value is no number."""
    if candidate is None or candidate.shape != reference.shape:
        return math.inf
    return relative_error(candidate.values, reference.values)


def relative_error(candidate: NDArray[Any], reference: NDArray[Any]) -> float:
    """max|Δ| / max|reference|; infinite where the shapes differ or a value is no number."""
    if candidate.shape != reference.shape:
        return math.inf
    difference = float(np.abs(np.subtract(candidate, reference, dtype=np.float64)).max())
    if difference == 0:
        return 0.0
    largest = float(np.abs(reference).max())
    found = difference / largest if largest else math.inf
    return found if math.isfinite(found) else math.inf
