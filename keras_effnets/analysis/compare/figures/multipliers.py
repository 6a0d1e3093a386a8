"""MobileNetV1's width and resolution multipliers."""

from __future__ import annotations

from functools import partial
from typing import Any

from keras_effnets.analysis.compare.figures.figure_style import label_axes, reference
from keras_effnets.analysis.compare.palette import BLUE, GREEN, ORANGE, VERMILION
from keras_effnets.analysis.costs import cost
from keras_effnets.models.mobilenet_v1 import MobileNetV1

NAME = "mobilenet-multipliers"
TITLE = "MobileNetV1's width multiplier α and resolution multiplier ρ (2017)"
ALPHAS = (0.25, 0.5, 0.75, 1.0)
SIDES = (128, 160, 192, 224)
COLOURS = (ORANGE, GREEN, BLUE, VERMILION)


def data() -> dict[str, Any]:
    """Parameters by width, multiply-adds by width and input size."""
    costs = {
        (alpha, side): cost(
            partial(MobileNetV1, weights=None, alpha=alpha, input_shape=(side, side, 3))
        )
        for alpha in ALPHAS
        for side in SIDES
    }
    return {
        "alphas": list(ALPHAS),
        "sides": list(SIDES),
        "params": [costs[alpha, SIDES[-1]].params for alpha in ALPHAS],
        "macs": {alpha: [costs[alpha, side].macs for side in SIDES] for alpha in ALPHAS},
    }


def draw(figure: Any, data: dict[str, Any]) -> None:
    """Draws multiply-adds by each multiplier, and parameters by width."""
    left, middle, right = figure.subplots(1, 3)
    alphas, sides, macs = data["alphas"], data["sides"], data["macs"]
    for index, (side, colour) in enumerate(zip(sides, COLOURS, strict=True)):
        values = [macs[alpha][index] / 1e6 for alpha in alphas]
        left.plot(alphas, values, "o-", color=colour, label=f"input {side}, ρ = {side / 224:.2g}")
    full = macs[1.0]
    squares = [full[-1] * alpha**2 / 1e6 for alpha in alphas]
    reference(left, alphas, squares, "α² of the full network")
    label_axes(left, x="width multiplier α", y="millions", title="multiply-adds")
    for alpha, colour in zip(alphas, COLOURS, strict=True):
        values = [value / 1e6 for value in macs[alpha]]
        middle.plot(sides, values, "o-", color=colour, label=f"α = {alpha:g}")
    squares = [full[-1] * (side / 224) ** 2 / 1e6 for side in sides]
    reference(middle, sides, squares, "ρ² of the full network")
    middle.set_xticks(sides)
    label_axes(middle, x="input size, pixels", y="millions", title="multiply-adds")
    right.plot(alphas, [value / 1e6 for value in data["params"]], "o-", color=BLUE)
    squares = [data["params"][-1] * alpha**2 / 1e6 for alpha in alphas]
    reference(right, alphas, squares, "α² of the full network")
    label_axes(right, x="width multiplier α", y="millions", title="parameters, at any input size")
    for axes in (left, middle, right):
        axes.set_ylim(0)
