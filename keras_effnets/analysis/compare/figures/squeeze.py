"""SqueezeNet's two options: the squeeze ratio, and the share of 3×3 among the wide filters."""

from __future__ import annotations

from functools import partial
from typing import Any

from keras_effnets.analysis.compare.figures.figure_style import label_axes
from keras_effnets.analysis.compare.palette import BLUE, GREY, VERMILION
from keras_effnets.analysis.costs import BYTES, cost
from keras_effnets.models.squeezenet import VARIANTS, SqueezeNet

NAME = "squeezenet-knobs"
TITLE = "SqueezeNet's size by squeeze ratio and by its share of 3×3 convolutions (2016)"
RATIOS = (0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
SHARES = (0.01, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.99)
RATIO_OF_SHARES = 0.5
"""Squeeze ratio at which the paper varies the share."""


def data() -> dict[str, Any]:
    """Parameters and multiply-adds by each option."""
    ratios = [cost(partial(SqueezeNet, weights=None, squeeze_ratio=ratio)) for ratio in RATIOS]
    shares = [
        cost(partial(SqueezeNet, weights=None, squeeze_ratio=RATIO_OF_SHARES, pct3x3=share))
        for share in SHARES
    ]
    default = VARIANTS[0]
    return {
        "ratios": {"squeeze_ratio": list(RATIOS), **_columns(ratios)},
        "shares": {"pct3x3": list(SHARES), **_columns(shares)},
        "default": {"squeeze_ratio": default.squeeze_ratio, "pct3x3": default.pct3x3},
    }


def _columns(costs: list[Any]) -> dict[str, list[int]]:
    return {key: [getattr(each, key) for each in costs] for key in ("params", "macs")}


def draw(figure: Any, data: dict[str, Any]) -> None:
    """Draws the size of the weights and the multiply-adds by each option."""
    left, right = figure.subplots(1, 2, sharey=True)
    ratios, shares = data["ratios"], data["shares"]
    for axes, x, found, label, title in (
        (left, ratios["squeeze_ratio"], ratios, "squeeze ratio", "3×3 share 0.5"),
        (right, shares["pct3x3"], shares, "share of 3×3", f"squeeze ratio {RATIO_OF_SHARES:g}"),
    ):
        size = [BYTES * value / 1e6 for value in found["params"]]
        axes.plot(x, size, "o-", color=BLUE, label="weights in single precision, MB")
        macs = [value / 1e8 for value in found["macs"]]
        axes.plot(x, macs, "s-", color=VERMILION, label="multiply-adds, hundred millions")
        axes.set_ylim(0)
        label_axes(axes, x=label, y="MB, or hundred millions", title=title)
    left.axvline(data["default"]["squeeze_ratio"], color=GREY, linewidth=0.8, linestyle=":")
    left.annotate(
        "SqueezeNet 1.0",
        (data["default"]["squeeze_ratio"], 0.02),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=8,
        color=GREY,
    )
