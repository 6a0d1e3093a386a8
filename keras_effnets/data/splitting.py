"""Dividing pictures so that every part has of every class."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from keras_effnets.data.labelled import Pictures


def split(pictures: Pictures, share: float, seed: int) -> tuple[Pictures, Pictures]:
    """Takes a share of the pictures of each class out.

    The same arguments always give the same division. Each class gives `share` of its pictures,
    rounded, but at least one and never all: a class of one picture gives none. Both keep the order.

    Args:
        pictures: To divide.
        share: To take out, between 0 and 1.
        seed: 0 or more.

    Returns:
        What was taken out, and the rest.

    Raises:
        ValueError: If `share` or `seed` is outside what is allowed.
    """
    if not 0 < share < 1:
        raise ValueError(f"share={share!r}: expected a number between 0 and 1")
    chosen = np.zeros(len(pictures), bool)
    for members in _shuffled_classes(pictures, seed):
        count = min(max(1, round(share * len(members))), len(members) - 1)
        chosen[members[:count]] = True
    return pictures.take(np.flatnonzero(chosen)), pictures.take(np.flatnonzero(~chosen))


def folds(pictures: Pictures, count: int, seed: int) -> Iterator[tuple[Pictures, Pictures]]:
    """Divides pictures `count` times, so that each is in one of the parts.

    Classes are spread over the folds as evenly as their numbers allow, and the folds differ by
    one picture at most. The same arguments always give the same folds.

    Args:
        pictures: To divide.
        count: Of folds: from 2 to the number of pictures.
        seed: 0 or more.

    Returns:
        For each fold the pictures outside and inside it (to learn from, and to test with), both in
        the order that they had.

    Raises:
        ValueError: If `count` or `seed` is outside what is allowed.
    """
    if not 2 <= count <= len(pictures):
        raise ValueError(f"count={count!r}: expected 2 to {len(pictures)}, the pictures")
    fold = np.empty(len(pictures), np.int64)
    begin = 0
    for members in _shuffled_classes(pictures, seed):
        # Each class goes on where the one before ended, which keeps the folds equally large.
        fold[members] = (begin + np.arange(len(members))) % count
        begin += len(members)
    return (
        (pictures.take(np.flatnonzero(fold != part)), pictures.take(np.flatnonzero(fold == part)))
        for part in range(count)
    )


def check_seed(name: str, value: int) -> int:
    """The value as an int of 0 or more; raises ValueError otherwise."""
    try:
        seed = operator.index(value)
    except TypeError:
        seed = -1
    if seed < 0:
        raise ValueError(f"{name}={value!r}: expected an integer of 0 or more")
    return seed


def _shuffled_classes(pictures: Pictures, seed: int) -> list[NDArray[np.int64]]:
    """The places of each class's pictures, shuffled; one class's order depends on no other."""
    seed = check_seed("seed", seed)
    return [
        np.random.default_rng([seed, target]).permutation(
            np.flatnonzero(pictures.targets == target)
        )
        for target in range(len(pictures.classes))
    ]
