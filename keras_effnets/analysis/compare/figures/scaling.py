"""EfficientNet's compound scaling compared with scaling one dimension alone."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from keras_effnets.analysis.compare.figures.figure_style import label_axes, plain_ticks
from keras_effnets.analysis.compare.palette import BLUE, GREEN, INK, ORANGE, VERMILION
from keras_effnets.analysis.costs import Cost, cost
from keras_effnets.models.efficientnet import EfficientNet, compound_scaling
from keras_effnets.models.registry import list_models, model_info

NAME = "efficientnet-scaling"
TITLE = "EfficientNet-B0 scaled up in one dimension, or in all three (2019)"
FACTORS = (1, 2, 4, 8)
"""Approximate factors of the multiply-adds: depth grows by the factor, width and input size by
its square root."""
COLOURS = {"depth": ORANGE, "width": GREEN, "resolution": BLUE, "compound": VERMILION}


def data() -> dict[str, Any]:
    """Cost of each way of scaling, and of B0 to B7 as published."""
    paths = {way: [_cost(**_dimensions(way, factor)) for factor in FACTORS] for way in COLOURS}
    variants = list_models("efficientnet_b?")
    return {
        "factors": list(FACTORS),
        "paths": {
            way: {key: [getattr(each, key) for each in costs] for key in Cost._fields}
            for way, costs in paths.items()
        },
        "variants": {
            name: {"params": model_info(name).parameters, "macs": model_info(name).multiply_adds}
            for name in variants
        },
    }


def _dimensions(way: str, factor: int) -> dict[str, Any]:
    if way == "depth":
        return {"depth": factor}
    if way in ("width", "resolution"):
        return {way: math.sqrt(factor)}
    scaling = compound_scaling(math.log2(factor))
    return {"depth": scaling.depth, "width": scaling.width, "resolution": scaling.resolution}


def _cost(**dimensions: Any) -> Cost:
    return cost(partial(EfficientNet, weights=None, **dimensions))


def draw(figure: Any, data: dict[str, Any]) -> None:
    """Draws parameters and activations by multiply-adds."""
    left, right = figure.subplots(1, 2)
    for axes, key, y in (
        (left, "params", "parameters, millions"),
        (right, "activations", "activations of one image, millions"),
    ):
        for way, path in data["paths"].items():
            axes.plot(
                [value / 1e9 for value in path["macs"]],
                [value / 1e6 for value in path[key]],
                "o-",
                color=COLOURS[way],
                label="all three, compound" if way == "compound" else f"{way} alone",
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.margins(0.09)
        plain_ticks(axes.xaxis, [0.4, 0.8, 1.6, 3.2])
        label_axes(axes, x="multiply-adds, billions", y=y)
    plain_ticks(left.yaxis, [5, 10, 20, 40])
    plain_ticks(right.yaxis, [13, 26, 52, 104])
    limit = 1.2 * max(max(path["macs"]) for path in data["paths"].values())
    for name, variant in data["variants"].items():
        if variant["macs"] <= limit:
            at = variant["macs"] / 1e9, variant["params"] / 1e6
            left.plot(*at, "x", color=INK, markersize=6)
            left.annotate(
                name.removeprefix("efficientnet_").upper(),
                at,
                xytext=(-5, 5),
                textcoords="offset points",
                fontsize=8,
                ha="right",
                color=INK,
            )
