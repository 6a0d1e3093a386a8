"""The chart as a self-contained HTML page, with details on hover and families to hide."""

from __future__ import annotations

import html
import json
import re
from importlib.resources import files
from string import Template
from typing import Any

from keras_effnets.analysis.compare.chart import Chart
from keras_effnets.analysis.compare.model_points import AXES, Point
from keras_effnets.analysis.compare.palette import STYLES, style

_SHAPES = {
    "o": "●",
    "s": "■",
    "D": "◆",
    "^": "▲",
    "v": "▼",
    "<": "◀",
    ">": "▶",
    "p": "⬟",
    "8": "⯃",
    "h": "⬢",
    "X": "✖",
}
_COLUMNS = ("params", "macs", "memory", "top1", "top5", "year", "side", "latency", "peak")


def page(chart: Chart, svg: bytes, *, x: str, y: str, size: str) -> str:
    """Returns the page of a chart.

    Args:
        chart: The chart, laid out without a legend: the page has its own.
        svg: The chart as SVG.
        x, y, size: The quantities drawn, names in `AXES`.
    """
    height = 72 * chart.figure.get_size_inches()[1]
    points = [
        {
            "name": point.name,
            "family": point.family,
            "source": point.source,
            # In SVG, y grows downwards.
            "px": [round(mark.x, 2), round(height - mark.y, 2)],
            "values": {axis: point.value(axis) for axis in AXES},
            "text": "\n".join(describe(point)),
        }
        for point, mark in zip(chart.drawn, chart.marks, strict=True)
    ]
    present = dict.fromkeys(point.family for point in chart.drawn)
    families = [f for f in STYLES if f in present] + [f for f in present if f not in STYLES]
    known = [axis for axis in _COLUMNS if any(p.value(axis) is not None for p in chart.drawn)]
    data: dict[str, Any] = {
        "points": points,
        "families": [
            [family, style(family).colour, _SHAPES[style(family).marker]] for family in families
        ],
        "columns": [
            ["name", "model"],
            ["family", "family"],
            *([axis, AXES[axis].label] for axis in known),
            ["source", "source of the accuracy"],
        ],
        "x": {"name": x, "more": AXES[x].more_is_better},
        "y": {"name": y, "more": AXES[y].more_is_better},
    }
    title = " against ".join(AXES[axis].label.partition(",")[0] for axis in (y, x))
    left_out = ", ".join(point.name for point in chart.left_out)
    return Template(files(__package__).joinpath("page.html").read_text("utf-8")).substitute(
        title=html.escape(title),
        size=html.escape(AXES[size].label),
        svg=_inline(svg.decode()),
        left_out=html.escape(f"Not drawn, a value is unknown: {left_out}." if left_out else ""),
        # The data must not close the script element.
        data=json.dumps(data).replace("<", "\\u003c"),
    )


def describe(point: Point) -> list[str]:
    """Everything known about a point, one fact per line."""
    lines = [point.name, f"{point.family}, {point.year}"]
    for axis in ("params", "macs", "memory", "top1", "top5", "latency", "peak"):
        value = point.value(axis)
        if value is not None:
            lines.append(f"{AXES[axis].label}: {value:,.5g}")
    if point.source:
        lines.append(f"accuracy from {point.source}" + (f", {point.weights}" * bool(point.weights)))
    return lines


def _inline(svg: str) -> str:
    """The `svg` element alone, without XML declaration and doctype."""
    return re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
