"""VGG's argument for small kernels: three 3×3 convolutions see as far as one 7×7 convolution."""

from __future__ import annotations

from typing import Any

from keras_effnets.analysis.compare.figures.figure_style import bars, label_axes
from keras_effnets.analysis.compare.palette import BLUE, VERMILION
from keras_effnets.analysis.costs import layers_cost
from keras_effnets.layers import ConvAct

NAME = "stacked-3x3"
TITLE = "Stacked 3×3 convolutions against one that sees as far (VGG, 2014)"
CHANNELS, SIDE = 256, 56
"""As in the third stage of VGG."""
STACKS = {"two 3×3": (3, 3), "one 5×5": (5,), "three 3×3": (3, 3, 3), "one 7×7": (7,)}


def data() -> dict[str, Any]:
    """Parameters, multiply-adds and receptive field of each stack."""
    found = {}
    for name, kernels in STACKS.items():
        layers = [ConvAct(CHANNELS, kernel) for kernel in kernels]
        cost = layers_cost(layers, (SIDE, SIDE, CHANNELS))
        found[name] = {
            "params": cost.params,
            "macs": cost.macs,
            # Without strides, each kernel adds its size less one.
            "receptive_field": 1 + sum(layer.kernel_size - 1 for layer in layers),
            "relus": len(layers),
        }
    return {"channels": CHANNELS, "side": SIDE, "stacks": found}


def draw(figure: Any, data: dict[str, Any]) -> None:
    """Draws parameters, multiply-adds and receptive fields as bars."""
    left, middle, right = figure.subplots(1, 3)
    panels = (
        (left, "params", 1e6, "millions", "parameters"),
        (middle, "macs", 1e9, "billions", "multiply-adds"),
        (right, "receptive_field", 1, "pixels", "receptive field"),
    )
    stacks = data["stacks"]
    pairs = (("two 3×3", "one 5×5"), ("three 3×3", "one 7×7"))
    for axes, key, scale, unit, title in panels:
        series = {
            label: ([stacks[pair[which]][key] / scale for pair in pairs], colour)
            for which, (label, colour) in enumerate(
                (("stacked 3×3", BLUE), ("one large kernel", VERMILION))
            )
        }
        bars(axes, ["two 3×3\nor one 5×5", "three 3×3\nor one 7×7"], series)
        label_axes(axes, x="", y=unit, title=title, legend=axes is left)
    figure.supxlabel(
        f"{data['channels']} channels in and out, maps of {data['side']} × {data['side']}",
        fontsize=9,
    )
