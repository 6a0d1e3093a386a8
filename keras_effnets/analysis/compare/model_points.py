"""Networks as points to compare: one record per network, and the Pareto front of the best.

Everything comes from the registry and from the tables beside this module; nothing is built.
"""

import csv
import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, NamedTuple

from keras_effnets.analysis.costs import BYTES
from keras_effnets.models.registry import model_info
from keras_effnets.weights.catalog import WeightsInfo

RECIPES = ("default", "original")


class Axis(NamedTuple):
    """A quantity that networks are compared by."""

    label: str
    log: bool
    more_is_better: bool
    scale: float = 1.0
    """Divisor that brings values into the label's unit."""
    measured: bool = False


AXES = {
    "macs": Axis("multiply-adds for one image, millions", True, False, 1e6),
    "params": Axis("parameters, millions", True, False, 1e6),
    "memory": Axis("parameters and activations of one image, MB", True, False, 1e6),
    "top1": Axis("top-1 accuracy on ImageNet, %", False, True),
    "top5": Axis("top-5 accuracy on ImageNet, %", False, True),
    "year": Axis("year of the paper", False, False),
    "side": Axis("input size, pixels", False, False),
    "latency": Axis("median latency of one image here, ms", True, False, 1e-3, True),
    "peak": Axis("peak memory of a process here, MB", True, False, 1e6, True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One network and the numbers that it is compared by."""

    name: str
    family: str
    year: int
    params: int
    """Trainable parameters."""
    macs: int
    """Multiply-adds for one image of `side`."""
    memory: int
    """Bytes of parameters and activations, see `memory`."""
    side: int
    top1: float | None
    """Per cent on ImageNet's validation set; None if no source states it."""
    top5: float | None
    source: str
    """Who published the accuracy; empty without one."""
    weights: str | None
    """The weight set that reached the accuracy; None if that set cannot be downloaded."""
    latency: float | None = None
    """Median seconds for one image on this machine."""
    peak: int | None = None
    """Peak memory of the process that measured it, bytes."""

    def value(self, axis: str) -> float | None:
        """The value in the axis's unit; None if unknown."""
        value = getattr(self, axis)
        return None if value is None else value / AXES[axis].scale

    def measured(self, *, latency: float, peak: int) -> "Point":
        """A copy with measured values."""
        return replace(self, latency=latency, peak=peak)


def collect(names: Sequence[str], *, recipe: str = "default") -> list[Point]:
    """Returns one point per network; nothing is built.

    Args:
        names: Names of networks.
        recipe: Which accuracy to take if a network was trained more than once: `"default"` is the
            set that `weights="imagenet"` loads, `"original"` the earliest training.

    Raises:
        ValueError: A name or the recipe is unknown.
    """
    if recipe not in RECIPES:
        raise ValueError(f"recipe={recipe!r} is not one of {RECIPES}")
    return [_point(name, recipe) for name in names]


def _point(name: str, recipe: str) -> Point:
    info = model_info(name)
    chosen = _with_accuracy(list(info.weights.values()), recipe)
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
        accuracy.update(_paper_accuracies().get(name, {}))
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


def _with_accuracy(sets: list[WeightsInfo], recipe: str) -> WeightsInfo | None:
    """The first set that states an accuracy; for "original", IMAGENET1K_V1 goes first."""
    stated = [each for each in sets if each.top1 is not None]
    if recipe == "original":
        stated.sort(key=lambda each: each.name != "IMAGENET1K_V1")
    return stated[0] if stated else None


@functools.cache
def _paper_accuracies() -> dict[str, dict[str, Any]]:
    """Accuracies stated by papers and authors that no downloadable weights reach."""
    return {
        row["model"]: {
            "top1": float(row["top1"]),
            "top5": float(row["top5"]) if row["top5"] else None,
            "source": row["source"],
        }
        for row in _rows("paper_accuracies.csv")
    }


@functools.cache
def _activations() -> dict[str, int]:
    return {row["model"]: int(row["activations"]) for row in _rows("activations.csv")}


def _rows(table: str) -> "csv.DictReader[str]":
    return csv.DictReader(files(__package__).joinpath(table).read_text("utf-8").splitlines())


def activations(name: str) -> int:
    """Values in the outputs of all layers with weights, for one image of the network's input size.

    Looked up in `activations.csv`; `costs.model_cost` counts them.

    Raises:
        ValueError: The name is not in the table.
    """
    if name not in _activations():
        raise ValueError(f"{name!r} is not in the table of activations")
    return _activations()[name]


def memory(name: str) -> int:
    """Bytes of the parameters and of the activations for one image, in single precision."""
    return BYTES * (activations(name) + model_info(name).parameters)


def pareto_front(points: Sequence[Point], x: str, y: str) -> list[Point]:
    """Returns the points that no other point beats, by growing cost.

    A point is beaten by one that is at least as good on both axes and better on one; points equal
    on both axes all stay. Points without a value on either axis are left out.
    """
    known = [p for p in points if p.value(x) is not None and p.value(y) is not None]

    def badness(point: Point, axis: str) -> float:
        value = point.value(axis)
        assert value is not None
        return -value if AXES[axis].more_is_better else value

    pairs = [(badness(point, x), badness(point, y)) for point in known]
    front = [
        (own, point)
        for own, point in zip(pairs, known, strict=True)
        if not any(each != own and each[0] <= own[0] and each[1] <= own[1] for each in pairs)
    ]
    return [point for _, point in sorted(front, key=lambda pair: pair[0])]
