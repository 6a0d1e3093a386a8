"""The lineage chart as a file: PNG, SVG or a self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_effnets.analysis.compare.chart import Chart, lay_out, rendered
from keras_effnets.analysis.compare.html_page import page
from keras_effnets.analysis.compare.model_points import AXES, Point
from weights_tools.formats.atomic import replacing

SUFFIXES = (".png", ".svg", ".html")


def check_chart(x: str, y: str, size: str, path: Path) -> None:
    """Raises ValueError for unknown axes or a suffix that is not one of `SUFFIXES`."""
    for name, value in (("x", x), ("y", y), ("size", size)):
        if value not in AXES:
            raise ValueError(f"--{name} {value!r} is not one of {', '.join(AXES)}")
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"--out {str(path)!r}: expected a path ending in {', '.join(SUFFIXES)}")


def draw_chart(
    points: Sequence[Point],
    path: Path | str,
    *,
    x: str = "macs",
    y: str = "top1",
    size: str = "params",
) -> Chart:
    """Draws networks by cost and accuracy, with the Pareto front.

    Args:
        points: The networks, see `collect`.
        path: The file to write: .png, .svg, or .html for a self-contained page.
        x, y: The axes, names in `AXES`.
        size: The quantity shown by the bubbles' areas, a name in `AXES`.

    Returns:
        The chart that was drawn.

    Raises:
        ValueError: An axis or the suffix is unknown, or no point has all three values.
    """
    path = Path(path)
    check_chart(x, y, size, path)
    kind = path.suffix.lower().removeprefix(".")
    chart = lay_out(points, x=x, y=y, size=size, legend=kind != "html")
    if kind == "html":
        content = page(chart, rendered(chart.figure, "svg"), x=x, y=y, size=size).encode()
    else:
        content = rendered(chart.figure, kind)
    with replacing(path) as file:
        file.write(content)
    return chart
