"""GoogLeNet's bottlenecks: Inception blocks without and with 1×1 convolutions."""

from __future__ import annotations

from functools import partial
from typing import Any

from keras_effnets.analysis.compare.figures.figure_style import bars, label_axes
from keras_effnets.analysis.compare.palette import BLUE, VERMILION
from keras_effnets.analysis.costs import layers_cost
from keras_effnets.layers import Inception
from keras_effnets.models.googlenet import VARIANTS, InceptionV1, plan
from keras_effnets.models.registry import model_info
from keras_effnets.plan.deferred import sketch

NAME = "inception-bottleneck"
TITLE = "Inception blocks, naive and with 1×1 bottlenecks (GoogLeNet, 2014)"


def data() -> dict[str, Any]:
    """Cost and output channels of the paper's nine blocks in both forms, on the same input."""
    config = VARIANTS[1]
    network = sketch(partial(InceptionV1, weights=None))
    found = {}
    for row in plan(config):
        shape = network.get_layer(row.name).get_build_config()["input_shape"][1:]
        one, _, three, _, five, _ = row.filters
        forms = {"naive": (one, 0, three, 0, five, 0), "bottlenecked": row.filters}
        found[row.name.removeprefix("inception")] = {
            form: _form(filters, shape, config.widest) for form, filters in forms.items()
        }
    total = {
        form: sum(block[form]["macs"] for block in found.values())
        for form in ("naive", "bottlenecked")
    }
    whole = model_info(config.name).multiply_adds
    return {"blocks": found, "macs": total, "network_macs": whole}


def _form(filters: tuple[int, ...], shape: tuple[int, int, int], widest: int) -> dict[str, int]:
    block = Inception(filters, widest=widest, norm=False)
    cost = layers_cost([block], shape)
    channels = block.compute_output_shape((None, *shape))[-1] or 0
    return {"params": cost.params, "macs": cost.macs, "channels": channels}


def draw(figure: Any, data: dict[str, Any]) -> None:
    """Draws multiply-adds on the left and channels on the right, two bars per block."""
    left, right = figure.subplots(1, 2)
    blocks = data["blocks"]
    for axes, key, scale, unit, title in (
        (left, "macs", 1e6, "millions", "multiply-adds"),
        (
            right,
            "channels",
            1,
            "channels",
            "output channels; naive pooling keeps its input's",
        ),
    ):
        series = {
            label: ([block[form][key] / scale for block in blocks.values()], colour)
            for label, form, colour in (
                ("naive", "naive", VERMILION),
                ("with 1×1 bottlenecks", "bottlenecked", BLUE),
            )
        }
        bars(axes, list(blocks), series)
        label_axes(axes, x="block", y=unit, title=title, legend=axes is left)
    naive, bottlenecked = (data["macs"][form] / 1e9 for form in ("naive", "bottlenecked"))
    left.set_title(
        f"multiply-adds: {naive:.2f} G naive, {bottlenecked:.2f} G bottlenecked", fontsize=9.5
    )
