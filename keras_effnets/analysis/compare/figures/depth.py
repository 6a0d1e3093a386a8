"""Stochastic Depth: the expected depth of a ResNet during training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from keras_effnets.analysis.compare.figures.figure_style import label_axes
from keras_effnets.analysis.compare.palette import BLUE, GREEN, GREY, VERMILION
from keras_effnets.models.resnet_cifar import STOCHASTIC_DEPTH, StochasticDepthConfig, plan

NAME = "stochastic-depth"
TITLE = "Expected depth of a ResNet-110 whose blocks are dropped in training (2016)"
SURVIVALS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def data() -> dict[str, Any]:
    """The probability that each block is kept, and the expected number of blocks."""
    config = STOCHASTIC_DEPTH
    schedules = ("linear", "uniform")
    return {
        "blocks": len(_kept(config)),
        "survival": config.survival,
        "kept": {each: _kept(replace(config, schedule=each)) for each in schedules},
        "survivals": list(SURVIVALS),
        "expected": {
            each: [sum(_kept(replace(config, schedule=each, survival=p))) for p in SURVIVALS]
            for each in schedules
        },
    }


def _kept(config: StochasticDepthConfig) -> list[float]:
    """The probability of each block, in order."""
    return [1 - block.drop_path for block in plan(config)]


def draw(figure: Any, data: dict[str, Any]) -> None:
    """Draws the probability by block, and the expected depth by the last block's probability."""
    left, right = figure.subplots(1, 2)
    places = range(1, data["blocks"] + 1)
    for name, colour in (("linear", BLUE), ("uniform", VERMILION)):
        expected = sum(data["kept"][name])
        label = f"{name}: {expected:.1f} blocks expected"
        left.plot(places, data["kept"][name], color=colour, label=label)
        right.plot(data["survivals"], data["expected"][name], "o-", color=colour, label=name)
    left.axhline(1, color=GREEN, label=f"ResNet: all {data['blocks']} blocks")
    left.set_ylim(0, 1.08)
    label_axes(
        left,
        x="block",
        y="probability that it is kept",
        title=f"last block kept with p = {data['survival']:g}",
    )
    right.axhline(data["blocks"], color=GREEN, label="ResNet")
    right.axvline(data["survival"], color=GREY, linewidth=0.8, linestyle=":")
    right.set_ylim(0, data["blocks"] * 1.08)
    label_axes(right, x="probability of the last block", y="expected blocks in a training step")
