"""The chart's legends on its right, and the sources of its accuracies below it."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from keras_effnets.analysis.compare.model_points import AXES, Point
from keras_effnets.analysis.compare.palette import GREY, STYLES, bubble, style


def draw_legends(figure: Any, points: list[Point], size: str, largest: float, front: bool) -> None:
    """Draws two legends: the mark of each family, and the values of three areas.

    Args:
        figure: The matplotlib figure, whose right fifth is free.
        points: The points drawn.
        size: The axis shown by the areas.
        largest: Its largest value.
        front: Whether the Pareto front was drawn.
    """
    from matplotlib.lines import Line2D

    def mark(label: str, **options: Any) -> Any:
        return Line2D([], [], linestyle="none", label=label, markeredgecolor="white", **options)

    present = {point.family for point in points}
    families = [f for f in STYLES if f in present] + sorted(present - STYLES.keys())
    entries = [
        mark(family, marker=style(family).marker, color=style(family).colour, markersize=7.5)
        for family in families
    ]
    if any(point.weights is None for point in points):
        ring: dict[str, Any] = {"marker": "o", "markerfacecolor": "white", "markersize": 7.5}
        entries.append(
            Line2D([], [], linestyle="none", label="as the authors state", color=GREY, **ring)
        )
    if front:
        entries.append(Line2D([], [], color=GREY, linestyle=(0, (5, 3)), label="Pareto front"))
    common: dict[str, Any] = {
        "frameon": False,
        "fontsize": 8,
        "title_fontsize": 8.5,
        "alignment": "left",
    }
    figure.legend(
        handles=entries, loc="upper left", bbox_to_anchor=(0.825, 0.955), title="family", **common
    )
    steps = [_rounded(largest * share) for share in (1, 0.3, 0.06)]
    sizes = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            markersize=math.sqrt(bubble(step, largest)),
            markerfacecolor="none",
            markeredgecolor=GREY,
            label=f"{step:,g}",
        )
        for step in steps
    ]
    title = textwrap.fill("area: " + AXES[size].label, 26)
    figure.legend(
        handles=sizes,
        loc="lower left",
        bbox_to_anchor=(0.825, 0.1),
        title=title,
        labelspacing=2.6,
        handletextpad=2.0,
        borderpad=1.2,
        **common,
    )


def _rounded(value: float) -> float:
    """Rounds to one significant digit."""
    digits = math.floor(math.log10(value))
    return round(value / 10**digits) * 10.0**digits


def draw_sources(figure: Any, points: list[Point], axes: set[str]) -> None:
    """Names the sources of the accuracies, if an axis shows any."""
    if not axes & {"top1", "top5"}:
        return
    sources = ", ".join(dict.fromkeys(p.source for p in points if p.weights is not None))
    notes = [f"Accuracies as published: {sources}"] if sources else []
    if any(point.weights is None for point in points):
        notes.append("hollow: stated by the authors, no weights to download")
    figure.text(
        0.065, 0.02, textwrap.fill("; ".join(notes) + ".", 190), fontsize=7, color="#606060"
    )
