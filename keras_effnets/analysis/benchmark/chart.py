"""Benchmark results as a bar chart: milliseconds per image of each contender."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from keras_effnets.analysis.benchmark.contest import Result
from weights_tools.formats.atomic import replacing

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = {"ours": "#0072B2", "keras": "#E69F00", "torchvision": "#D55E00"}
SUFFIXES = (".png", ".svg")


def check_chart(out: Path) -> None:
    """Raises ValueError for an unknown suffix, FileNotFoundError if the folder is missing."""
    if out.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--out {str(out)!r}: expected a path ending in .png or .svg")
    if not out.parent.is_dir():
        raise FileNotFoundError(f"--out {str(out)!r}: there is no folder {out.parent}")


def draw(results: Sequence[Result], machine: str, out: Path) -> None:
    """Draws the medians, with lines from the fastest to the slowest turn.

    Args:
        results: The results to draw, in the order of the bars.
        machine: Description of the machine, shown below the chart.
        out: The .png or .svg to write.
    """
    from matplotlib.figure import Figure

    groups = [
        (key, list(group))
        for key, group in groupby(results, lambda each: (each.contender.name, each.batch))
    ]
    rows = sum(len(group) + 1 for _, group in groups)
    figure = Figure(figsize=(8, 1 + 0.32 * rows), layout="constrained")
    axes = figure.add_subplot()
    place, ticks, names = 0.0, [], []
    for (name, batch), group in groups:
        axes.text(0, place, f"{name}, batch {batch}", weight="bold", va="center")
        place += 1
        for each in group:
            _bar(axes, place, each)
            ticks.append(place)
            names.append(str(each.contender))
            place += 1
    axes.set_yticks(ticks, names)
    axes.set_ylim(place - 0.5, -0.6)
    axes.margins(x=0.25)
    axes.set_xlabel("milliseconds per image, median and range of the turns")
    figure.supxlabel("\n".join(textwrap.wrap(machine, 100)), size=8, color="#555555")
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(out) as file:
        figure.savefig(file, format=out.suffix[1:].lower(), dpi=120)


def _bar(axes: Any, place: float, result: Result) -> None:
    each = [1e3 * seconds / result.batch for seconds in result.seconds]
    median = 1e3 * result.median / result.batch
    axes.barh(place, median, color=COLOURS[result.contender.who], height=0.7)
    axes.plot((min(each), max(each)), (place, place), color="black", linewidth=1)
    label = f"{median:.1f}" if result.ratio == 1 else f"{median:.1f} ({result.ratio:.2f})"
    axes.annotate(
        label, (max(each), place), xytext=(4, 0), textcoords="offset points", va="center", size=9
    )
