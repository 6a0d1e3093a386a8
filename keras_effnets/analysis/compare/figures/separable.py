"""Cost of depthwise-separable convolutions relative to standard ones: 1/N + 1/k²."""

from __future__ import annotations

from functools import partial
from typing import Any

from keras_effnets.analysis.compare.figures.figure_style import (
    bars,
    label_axes,
    plain_ticks,
    reference,
)
from keras_effnets.analysis.compare.palette import BLUE, GREEN, VERMILION
from keras_effnets.analysis.costs import layers_cost
from keras_effnets.layers import ConvNormAct, DepthwiseConvNormAct
from keras_effnets.models.mobilenet_v1 import VARIANTS, MobileNetV1, plan
from keras_effnets.plan.deferred import sketch

NAME = "separable-cost"
TITLE = "Depthwise-separable convolutions against standard ones (MobileNetV1, 2017)"
KERNELS = (3, 5, 7)
WIDTHS = (8, 16, 32, 64, 128, 256, 512, 1024)
SIDE = 14


def data() -> dict[str, Any]:
    """Ratio of multiply-adds by kernel and width; MobileNetV1's blocks in both forms."""
    ratios = {
        kernel: [
            _macs_separable(kernel, width, 1, (SIDE, SIDE, width))
            / _macs_standard(kernel, width, 1, (SIDE, SIDE, width))
            for width in WIDTHS
        ]
        for kernel in KERNELS
    }
    formula = {k: [1 / width + 1 / k**2 for width in WIDTHS] for k in KERNELS}
    network = sketch(partial(MobileNetV1, weights=None))
    blocks = {}
    for block in plan(VARIANTS[0]):
        shape = network.get_layer(block.name).get_build_config()["input_shape"][1:]
        arguments = (block.kernel_size, block.filters, block.strides, shape)
        blocks[block.name] = {
            "separable": _macs_separable(*arguments),
            "standard": _macs_standard(*arguments),
        }
    return {"widths": list(WIDTHS), "ratios": ratios, "formula": formula, "blocks": blocks}


def _macs_separable(kernel: int, width: int, strides: int, shape: tuple[int, int, int]) -> int:
    layers = [DepthwiseConvNormAct(kernel, strides=strides), ConvNormAct(width, 1)]
    return layers_cost(layers, shape).macs


def _macs_standard(kernel: int, width: int, strides: int, shape: tuple[int, int, int]) -> int:
    return layers_cost([ConvNormAct(width, kernel, strides=strides)], shape).macs


def draw(figure: Any, data: dict[str, Any]) -> None:
    """Draws the ratio and its formula, and MobileNetV1 with both kinds of convolution."""
    left, right = figure.subplots(1, 2)
    for kernel, colour in zip(KERNELS, (BLUE, GREEN, VERMILION), strict=True):
        left.plot(
            data["widths"], data["ratios"][kernel], "o", color=colour, label=f"{kernel}×{kernel}"
        )
        reference(
            left, data["widths"], data["formula"][kernel], "1/N + 1/k²" if kernel == 7 else ""
        )
    left.set_xscale("log")
    left.set_yscale("log")
    plain_ticks(left.xaxis, data["widths"])
    plain_ticks(left.yaxis, [0.02, 0.05, 0.1, 0.2])
    label_axes(left, x="output channels N", y="multiply-adds, separable over standard")
    stages: dict[str, list[dict[str, int]]] = {}
    for name, block in data["blocks"].items():
        stages.setdefault(name.partition("_")[0], []).append(block)
    series = {
        label: ([sum(block[key] for block in stage) / 1e6 for stage in stages.values()], colour)
        for label, key, colour in (
            ("standard 3×3", "standard", VERMILION),
            ("depthwise-separable", "separable", BLUE),
        )
    }
    bars(right, [name.removeprefix("stage") for name in stages], series)
    whole = [
        sum(block[key] for block in data["blocks"].values()) for key in ("standard", "separable")
    ]
    label_axes(
        right,
        x="stage of MobileNetV1",
        y="multiply-adds, millions",
        title=f"all blocks: {whole[0] / 1e9:.2f} G standard, {whole[1] / 1e9:.2f} G separable",
    )
