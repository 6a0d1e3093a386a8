"""The figures that explain the lineage, each computed from this package's own networks."""

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
from keras_effnets.analysis.compare.figures.drawing import canvas
from keras_effnets.models.registry import suggestion
from weights_tools.formats.atomic import replacing

SUFFIXES = (".png", ".svg")


class StudyFigure(NamedTuple):
    """One figure: what it shows, its numbers, and how they are drawn."""

    title: str
    data: Callable[[], dict[str, Any]]
    """Values that JSON can hold."""
    draw: Callable[[Any, dict[str, Any]], None]
    """On an empty matplotlib figure."""


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
"""By name, in the order of the papers."""


def check_figure(name: str, path: Path | None = None) -> None:
    """Raises ValueError for a figure that there is not, or a file that is no picture's."""
    if name not in FIGURES:
        raise ValueError(
            f"{name!r} is none of the figures {', '.join(FIGURES)}{suggestion(name, FIGURES)}"
        )
    if path is not None and path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--out {str(path)!r} ends in none of {', '.join(SUFFIXES)}")


def figure_data(name: str) -> dict[str, Any]:
    """The numbers of a figure.

    Raises:
        ValueError: For an unknown name.
    """
    check_figure(name)
    return FIGURES[name].data()


def draw_figure(name: str, path: Path | str) -> dict[str, Any]:
    """Draws a figure, and returns its numbers.

    Args:
        name: Of `FIGURES`.
        path: Of the .png or .svg.

    Raises:
        ValueError: For an unknown name or another kind of file.
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
