"""The figures that explain the lineage, each computed from the networks of this package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from keras_effnets.analysis.compare.chart import rendered
from keras_effnets.analysis.compare.figures import (
    dense,
    depth,
    inception,
    multipliers,
    scaling,
    separable,
    squeeze,
    stacking,
)
from keras_effnets.analysis.compare.figures.figure_style import canvas
from keras_effnets.models.registry import suggestion
from weights_tools.formats.atomic import replacing

SUFFIXES = (".png", ".svg")


class StudyFigure(NamedTuple):
    """A figure: its title, the function that computes its numbers, and the one that draws them."""

    title: str
    data: Callable[[], dict[str, Any]]
    """Returns the numbers, JSON-compatible."""
    draw: Callable[[Any, dict[str, Any]], None]
    """Draws the numbers on an empty matplotlib figure."""


FIGURES = {
    module.NAME: StudyFigure(module.TITLE, module.data, module.draw)
    for module in (
        stacking,
        inception,
        depth,
        dense,
        squeeze,
        separable,
        multipliers,
        scaling,
    )
}
"""Figures by name, in the order of the papers."""


def check_figure(name: str, path: Path | None = None) -> None:
    """Raises ValueError for an unknown figure or a suffix that is not one of `SUFFIXES`."""
    if name not in FIGURES:
        raise ValueError(
            f"{name!r} is not one of the figures {', '.join(FIGURES)}{suggestion(name, FIGURES)}"
        )
    if path is not None and path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--out {str(path)!r}: expected a path ending in {' or '.join(SUFFIXES)}")


def figure_data(name: str) -> dict[str, Any]:
    """Returns the numbers of a figure.

    Raises:
        ValueError: The name is unknown.
    """
    check_figure(name)
    return FIGURES[name].data()


def draw_figure(name: str, path: Path | str) -> dict[str, Any]:
    """Draws a figure and returns its numbers.

    Args:
        name: A name in `FIGURES`.
        path: The .png or .svg to write.

    Raises:
        ValueError: The name or the suffix is unknown.
    """
    path = Path(path)
    check_figure(name, path)
    data = FIGURES[name].data()
    figure = canvas(FIGURES[name].title)
    FIGURES[name].draw(figure, data)
    content = rendered(figure, path.suffix.lower().removeprefix("."))
    with replacing(path) as file:
        file.write(content)
    return data
