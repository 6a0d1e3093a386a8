"""What is compared: one record a network, from the registry alone."""

import csv
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, NamedTuple

from keras_effnets.analysis.compare.memory import memory
from keras_effnets.models.registry import model_info
from keras_effnets.weights.catalog import WeightsInfo

RECIPES = ("default", "original")


class Axis(NamedTuple):
    """Something that networks are compared by."""

    label: str
    log: bool
    more_is_better: bool
    scale: float = 1.0
    """What the chart divides the values by, to be in the label's unit."""
    measured: bool = False


AXES = {
    "macs": Axis("multiply-adds for one picture, millions", True, False, 1e6),
    "params": Axis("parameters, millions", True, False, 1e6),
    "memory": Axis("parameters and activations of one picture, MB", True, False, 1e6),
    "top1": Axis("top-1 accuracy on ImageNet, %", False, True),
    "top5": Axis("top-5 accuracy on ImageNet, %", False, True),
    "year": Axis("year of the paper", False, False),
    "side": Axis("side of the pictures, pixels", False, False),
    "latency": Axis("median latency of one picture here, ms", True, False, 1e-3, True),
    "peak": Axis("peak memory of a process here, MB", True, False, 1e6, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One network, as it is compared."""

    name: str
    family: str
    year: int
    params: int
    """Trainable ones."""
    macs: int
    """Multiply-adds for one picture of `side`."""
    memory: int
    """Bytes of parameters and activations, as `memory.memory` counts them."""
    side: int
    top1: float | None
    """Per cent on ImageNet's validation set; None where nobody published it."""
    top5: float | None
    source: str
    """Who published the accuracy; empty without one."""
    weights: str | None
    """The set that the accuracy is of; None where it is of no weights that can be fetched."""
    latency: float | None = None
    """Median seconds for one picture on this machine."""
    peak: int | None = None
    """Bytes of the process that measured it, at most."""

    def value(self, axis: str) -> float | None:
        """In the unit of the axis, None where it is not known."""
        value = getattr(self, axis)
        return None if value is None else value / AXES[axis].scale

    def measured(self, *, latency: float, peak: int) -> "Point":
        """The same with what was measured."""
        return replace(self, latency=latency, peak=peak)


def collect(names: Sequence[str], *, recipe: str = "default") -> list[Point]:
    """A point for each network; nothing is built.

    Args:
        names: Of networks.
        recipe: Of networks that were published more than once: `"default"` takes the set that
            `weights="imagenet"` does, `"original"` the earliest training.

    Raises:
        ValueError: For an unknown name or recipe.
    """
    if recipe not in RECIPES:
        raise ValueError(f"recipe={recipe!r} is not one of {RECIPES}")
    return [_point(name, recipe) for name in names]


def _point(name: str, recipe: str) -> Point:
    info = model_info(name)
    chosen = _set(list(info.weights.values()), recipe)
    accuracy: dict[str, Any]
    if chosen is not None:
        accuracy = {
            "top1": chosen.top1,
            "top5": chosen.top5,
            "source": chosen.accuracy_source,
            "weights": chosen.name,
        }
    else:
        accuracy = {"top1": None, "top5": None, "source": "", "weights": None}
        accuracy.update(_published().get(name, {}))
    return Point(
        name=name,
        family=info.family,
        year=info.paper.year,
        params=info.parameters,
        macs=info.multiply_adds,
        memory=memory(name),
        side=info.side,
        **accuracy,
    )


def _set(sets: list[WeightsInfo], recipe: str) -> WeightsInfo | None:
    """The first set with an accuracy; or the one that is called the first version of it."""
    stated = [each for each in sets if each.top1 is not None]
    if recipe == "original":
        stated.sort(key=lambda each: each.name != "IMAGENET1K_V1")
    return stated[0] if stated else None


@functools.cache
def _published() -> dict[str, dict[str, Any]]:
    """Accuracies that are of no published weights, from the table beside this module."""
    table = files(__package__).joinpath("paper_accuracies.csv").read_text("utf-8")
    return {
        row["model"]: {
            "top1": float(row["top1"]),
            "top5": float(row["top5"]) if row["top5"] else None,
            "source": row["source"],
        }
        for row in csv.DictReader(table.splitlines())
    }
