"""Splits and folds in which every class is represented."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keras_effnets.data.labelled import Pictures


def split(pictures: Pictures, share: float, seed: int) -> tuple[Pictures, Pictures]:
    """Splits off a share of the images of each class.

    The same arguments always give the same split. Each class gives `share` of its images,
    rounded, but at least one and never all; a class of one image gives none.

    Args:
        pictures: The images to split.
        share: The share to split off, between 0 and 1.
        seed: The random seed, 0 or more.

    Returns:
        The images split off and the rest, both in their original order.

    Raises:
        ValueError: If `share` or `seed` is out of range.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share!r}: expected a number between 0 and 1")
    chosen = np.zeros(len(pictures), bool)
    for members in _shuffled_classes(pictures, seed):
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen[members[:count]] = True
    return pictures.take(np.flatnonzero(chosen)), pictures.take(np.flatnonzero(~chosen))


def folds(pictures: Pictures, count: int, seed: int) -> Iterator[tuple[Pictures, Pictures]]:
    """Divides images into folds for cross-validation.

    Each class is spread over the folds as evenly as possible, and the folds' sizes differ by one
    image at most. The same arguments always give the same folds.

    Args:
        pictures: The images to divide.
        count: The number of folds, from 2 to the number of images.
        seed: The random seed, 0 or more.

    Returns:
        For each fold, the images outside it (to train on) and inside it (to test on), both in
        their original order.

    Raises:
        ValueError: If `count` or `seed` is out of range.
    """
    if not 2 <= count <= len(pictures):
        raise ValueError(f"count={count!r}: expected 2 to {len(pictures)}, the number of images")
    fold = np.empty(len(pictures), np.int64)
    begin = 0
    for members in _shuffled_classes(pictures, seed):
        # Each class continues where the previous one ended, which keeps the folds equally large.
        fold[members] = (begin + np.arange(len(members))) % count
        begin += len(members)
    return (
        (pictures.take(np.flatnonzero(fold != part)), pictures.take(np.flatnonzero(fold == part)))
        for part in range(count)
    )


def check_integer(name: str, value: int, lowest: int) -> int:
    """Returns the value as an int; raises ValueError if it is not an integer >= `lowest`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = lowest - 1
    if number < lowest:
        raise ValueError(f"{name}={value!r}: expected an integer of {lowest} or more")
    return number


def _shuffled_classes(pictures: Pictures, seed: int) -> list[NDArray[np.int64]]:
    """The shuffled indices of each class's images; independent of the other classes."""
    seed = check_integer("seed", seed, 0)
    return [
        np.random.default_rng([seed, target]).permutation(
            np.flatnonzero(pictures.targets == target)
        )
        for target in range(len(pictures.classes))
    ]
