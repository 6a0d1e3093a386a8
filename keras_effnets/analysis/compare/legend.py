"""What the marks of the chart mean, beside it, and whose accuracies they are, below it."""

from __future__ import annotations

import math
import textwrap
from typing import Any

from keras_effnets.analysis.compare.palette import GREY, STYLES, bubble, style
from keras_effnets.analysis.compare.points import AXES, Point


def draw_legends(figure: Any, points: list[Point], size: str, largest: float, front: bool) -> None:
    """Which mark is whose, and how large how much is.

    Args:
        figure: Of matplotlib; a fifth of it, on the right, is free.
        points: What was drawn.
        size: The axis that areas show.
        largest: Of its values.
        front: Whether a front was drawn.
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
    """To one significant digit."""
    digits = math.floor(math.log10(value))
    return round(value / 10**digits) * 10.0**digits


def draw_sources(figure: Any, points: list[Point], axes: set[str]) -> None:
    """Names who published the accuracies, where the axes show any."""
    if not axes & {"top1", "top5"}:
        return
    sources = ", ".join(dict.fromkeys(p.source for p in points if p.weights is not None))
    notes = [f"Accuracies as published: {sources}"] if sources else []
    if any(point.weights is None for point in points):
        notes.append("hollow: as papers and authors state, not of weights that can be fetched")
    figure.text(
        0.065, 0.02, textwrap.fill("; ".join(notes) + ".", 190), fontsize=7, color="#606060"
    )
