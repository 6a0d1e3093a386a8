"""DenseNet's growth rate: the channels that each layer adds, and their cost."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from keras_effnets.analysis.compare.figures.figure_style import label_axes
from keras_effnets.analysis.compare.palette import BLUE, GREEN, ORANGE, VERMILION
from keras_effnets.analysis.costs import cost
from keras_effnets.models.densenet import VARIANTS, DenseNet121, DenseNetConfig, plan

NAME = "densenet-growth"
TITLE = "DenseNet-121 by its growth rate k, the channels that each layer adds (2016)"
RATES = (8, 16, 24, 32, 48)
SHOWN = (12, 24, 32, 48)


def data() -> dict[str, Any]:
    """Cost by growth rate, and the channels after each layer."""
    costs = {rate: cost(partial(DenseNet121, weights=None, growth_rate=rate)) for rate in RATES}
    return {
        "rates": list(RATES),
        "params": [each.params for each in costs.values()],
        "macs": [each.macs for each in costs.values()],
        "channels": {rate: _channels(replace(VARIANTS[0], growth_rate=rate)) for rate in SHOWN},
    }


def _channels(config: DenseNetConfig) -> list[int]:
    """Channels after the stem, after each layer of each block, and after each transition."""
    found = [config.stem]
    for stage in plan(config):
        for _ in range(stage.repeats):
            found.append(found[-1] + config.growth_rate)
        if stage.transition:
            found.append(stage.filters)
    return found


def draw(figure: Any, data: dict[str, Any]) -> None:
    """Draws parameters and multiply-adds by growth rate, and the channels along the network."""
    left, right = figure.subplots(1, 2)
    millions = [value / 1e6 for value in data["params"]]
    left.plot(data["rates"], millions, "o-", color=BLUE, label="parameters, millions")
    hundreds = [value / 1e9 for value in data["macs"]]
    left.plot(data["rates"], hundreds, "s-", color=VERMILION, label="multiply-adds, billions")
    left.set_ylim(0)
    label_axes(left, x="growth rate k", y="millions, or billions", title="both grow with about k²")
    colours = (ORANGE, GREEN, BLUE, VERMILION)
    for (rate, channels), colour in zip(data["channels"].items(), colours, strict=True):
        right.plot(range(len(channels)), channels, color=colour, label=f"k = {rate}")
    right.set_ylim(0)
    label_axes(
        right,
        x="layers and transitions after the stem",
        y="channels",
        title="each layer adds k channels; a transition halves them",
    )
