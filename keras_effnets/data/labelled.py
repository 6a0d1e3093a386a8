"""Labelled pictures as names and numbers; no file is opened here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_effnets.images.folders import some_names


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Files of pictures with their classes.

    Attributes:
        paths: Of the files.
        targets: (pictures,), int32: the index into `classes` of each; read-only.
        classes: Their names, in the order of a model's outputs.

    Raises:
        ValueError: If there is not one target a path, one is none of the classes, or classes
            are missing or named twice.
    """

    paths: tuple[str, ...]
    targets: NDArray[np.int32]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        # A copy, and read-only, so that nobody's later change reaches a run that has begun.
        targets = np.array(self.targets, np.int32)
        targets.flags.writeable = False
        object.__setattr__(self, "paths", tuple(self.paths))
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "classes", tuple(self.classes))
        if targets.shape != (len(self.paths),):
            raise ValueError(f"targets: shape {targets.shape} for {len(self.paths)} paths")
        twice = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if twice or not self.classes:
            named = f"{some_names(twice)} named twice" if twice else "none"
            raise ValueError(f"classes: {named}; expected one name a class")
        if len(targets) and not 0 <= targets.min() <= targets.max() < len(self.classes):
            raise ValueError(
                f"targets: from {targets.min()} to {targets.max()}, "
                f"expected 0 to {len(self.classes) - 1}, the classes"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: ArrayLike) -> Pictures:
        """The pictures at these places, in their order; the classes stay."""
        chosen = np.asarray(indices, np.int64)
        paths = tuple(self.paths[index] for index in chosen)
        return Pictures(paths, self.targets[chosen], self.classes)

    def counts(self) -> NDArray[np.int64]:
        """(classes,): pictures of each class."""
        return np.bincount(self.targets, minlength=len(self.classes))


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Pictures to learn from, and where they are given, to choose by and to test with.

    Raises:
        ValueError: If the parts have other classes.
    """

    train: Pictures
    validation: Pictures | None = None
    test: Pictures | None = None

    def __post_init__(self) -> None:
        for name, part in self.parts():
            if part.classes != self.train.classes:
                raise ValueError(
                    f"train and {name} have other classes: {some_names(self.train.classes)} "
                    f"against {some_names(part.classes)}"
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """Of all parts."""
        return self.train.classes

    def parts(self) -> Sequence[tuple[str, Pictures]]:
        """Those that there are, by name: train, validation, test."""
        named = (("train", self.train), ("validation", self.validation), ("test", self.test))
        return [(name, part) for name, part in named if part is not None]
