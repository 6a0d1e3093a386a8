"""The style that all figures share."""

from __future__ import annotations

from typing import Any

from keras_effnets.analysis.compare.palette import GREY, INK


def canvas(title: str) -> Any:
    """An empty matplotlib figure under a title."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 4.4), dpi=110, layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK)
    return figure


def label_axes(axes: Any, *, x: str, y: str, title: str = "", legend: bool = True) -> None:
    """Adds labels, a light grid and the legend."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_title(title, fontsize=9.5)
    axes.grid(color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(frameon=False, fontsize=8)


def plain_ticks(axis: Any, ticks: list[float]) -> None:
    """Sets the only ticks of a logarithmic axis, without powers of ten."""
    axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def bars(axes: Any, groups: list[str], series: dict[str, tuple[list[float], str]]) -> None:
    """Draws groups of bars side by side, each bar with its value on top."""
    width = 0.8 / len(series)
    for number, (label, (values, colour)) in enumerate(series.items()):
        places = [index - 0.4 + width * (number + 0.5) for index in range(len(groups))]
        drawn = axes.bar(places, values, width * 0.92, label=label, color=colour)
        words = [f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values]
        axes.bar_label(drawn, words, fontsize=7, color=INK)
    axes.set_xticks(range(len(groups)), groups, fontsize=8)


def reference(axes: Any, x: list[float], y: list[float], label: str) -> None:
    """Draws the values of a formula as a dashed line."""
    axes.plot(x, y, color=GREY, linestyle=(0, (5, 3)), linewidth=1.2, label=label, zorder=1.5)
