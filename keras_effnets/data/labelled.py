"""Labelled images as paths and class indices; no file is opened here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_effnets.images.folders import some_names


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Image files with their classes.

    Attributes:
        paths: The files' paths.
        targets: (N,) int32, each image's index into `classes`; read-only.
        classes: The class names, in the order of a model's outputs.

    Raises:
        ValueError: If the numbers of targets and paths differ, a target is out of range, or
            class names are missing or repeated.
    """

    paths: tuple[str, ...]
    targets: NDArray[np.int32]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        # A read-only copy, so that later changes by the caller cannot affect a run.
        targets = np.array(self.targets, np.int32)
        targets.flags.writeable = False
        object.__setattr__(self, "paths", tuple(self.paths))
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "classes", tuple(self.classes))
        if targets.shape != (len(self.paths),):
            raise ValueError(
                f"targets: shape {targets.shape} for {len(self.paths)} paths; expected one a path"
            )
        repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if repeated or not self.classes:
            found = f"{some_names(repeated)} named twice" if repeated else "none"
            raise ValueError(f"classes: {found}; expected a different name for each class")
        if len(targets) and not 0 <= targets.min() <= targets.max() < len(self.classes):
            raise ValueError(
                f"targets: from {targets.min()} to {targets.max()}, "
                f"expected 0 to {len(self.classes) - 1} for {len(self.classes)} classes"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: ArrayLike) -> Pictures:
        """Selects images by index, in the order given; the classes stay."""
        chosen = np.asarray(indices, np.int64)
        paths = tuple(self.paths[index] for index in chosen)
        return Pictures(paths, self.targets[chosen], self.classes)

    def counts(self) -> NDArray[np.int64]:
        """The number of images in each class, (classes,)."""
        return np.bincount(self.targets, minlength=len(self.classes))


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Images for training and, where the data set has them, for validation and testing.

    Raises:
        ValueError: If the parts' classes differ.
    """

    train: Pictures
    validation: Pictures | None = None
    test: Pictures | None = None

    def __post_init__(self) -> None:
        for name, part in self.parts():
            if part.classes != self.train.classes:
                raise ValueError(
                    f"the classes of train and {name} differ: {some_names(self.train.classes)} "
                    f"against {some_names(part.classes)}"
                )

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, the same for all parts."""
        return self.train.classes

    def parts(self) -> Sequence[tuple[str, Pictures]]:
        """The parts that are present, by name: train, validation, test."""
        named = (("train", self.train), ("validation", self.validation), ("test", self.test))
        return [(name, part) for name, part in named if part is not None]
