"""The bubble chart of the lineage, as a matplotlib figure."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from keras_effnets.analysis.compare.label_placement import Box, Label, Mark, Segment, place
from keras_effnets.analysis.compare.legend import draw_legends, draw_sources
from keras_effnets.analysis.compare.model_points import AXES, Point, pareto_front
from keras_effnets.analysis.compare.palette import GREY, INK, SHAPES, bubble, style

_DPI = 120
_SVG = {
    "svg.fonttype": "none",
    "svg.hashsalt": "keras_effnets",
    "font.family": ["DejaVu Sans", "sans-serif"],
}


class Chart(NamedTuple):
    """A chart and the positions of its parts."""

    figure: Any
    drawn: list[Point]
    left_out: list[Point]
    """Points that lack one of the values."""
    front: list[Point]
    marks: list[Mark]
    """The marks of `drawn`; like `labels` in points (1/72 inch) from the lower left corner."""
    labels: list[Label]


def rendered(figure: Any, kind: str) -> bytes:
    """The bytes of a .png or .svg file; equal figures give equal bytes."""
    import matplotlib

    buffer = io.BytesIO()
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context(_SVG):
        figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def lay_out(points: Sequence[Point], *, x: str, y: str, size: str, legend: bool = True) -> Chart:
    """Lays the chart out as a matplotlib figure.

    Raises:
        ValueError: No point has all three values.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    has_all = [all(p.value(axis) is not None for axis in (x, y, size)) for p in points]
    drawn = [p for p, has in zip(points, has_all, strict=True) if has]
    left_out = [p for p, has in zip(points, has_all, strict=True) if not has]
    if not drawn:
        raise ValueError(f"none of the {len(points)} models has {x}, {y} and {size}")
    # Large bubbles first, so that they do not hide smaller ones.
    drawn.sort(key=lambda point: -_known(point, size))
    with matplotlib.rc_context(_SVG):
        figure = Figure(figsize=(12.4 if legend else 10.6, 7.6), dpi=_DPI)
        FigureCanvasAgg(figure)
        right = 0.815 if legend else 0.985
        axes = figure.add_axes((0.065, 0.125, right - 0.065, 0.825))
        largest = max(_known(point, size) for point in drawn)
        areas = [
            bubble(_known(point, size), largest)
            * (SHAPES["o"][0] / SHAPES[style(point.family).marker][0])
            for point in drawn
        ]
        _axes(axes, drawn, x, y)
        front = pareto_front(drawn, x, y)
        _draw_front(axes, front, x, y)
        for point, area in zip(drawn, areas, strict=True):
            _draw_point(axes, point, area, x, y)
        marks, labels = _draw_labels(figure, axes, drawn, areas, front, x, y)
        if legend:
            draw_legends(figure, drawn, size, largest, bool(front))
        draw_sources(figure, drawn, {x, y, size})
    return Chart(figure, drawn, left_out, front, marks, labels)


def _known(point: Point, axis: str) -> float:
    value = point.value(axis)
    if value is None:
        raise ValueError(f"{point.name} has no {axis}")
    return value


def _axes(axes: Any, points: list[Point], x: str, y: str) -> None:
    from matplotlib.ticker import FuncFormatter

    for name, axis, scale, limits in (
        (x, axes.xaxis, axes.set_xscale, axes.set_xlim),
        (y, axes.yaxis, axes.set_yscale, axes.set_ylim),
    ):
        values = [_known(point, name) for point in points]
        low, high = min(values), max(values)
        if AXES[name].log:
            scale("log")
            room = max((high / low) ** 0.06, 1.25)
            limits(low / room, high * room)
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        else:
            room = max(0.07 * (high - low), 0.5)
            limits(low - room, high + 1.5 * room)
        axis.set_label_text(AXES[name].label)
    axes.grid(color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_front(axes: Any, front: list[Point], x: str, y: str) -> None:
    if len(front) > 1:
        xs, ys = ([_known(point, axis) for point in front] for axis in (x, y))
        (line,) = axes.step(
            xs, ys, where="post", color=GREY, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1.5
        )
        line.set_gid("front")


def _draw_point(axes: Any, point: Point, area: float, x: str, y: str) -> None:
    look = style(point.family)
    hollow = point.weights is None
    marks = axes.scatter(
        [_known(point, x)],
        [_known(point, y)],
        s=area,
        marker=look.marker,
        facecolor="white" if hollow else look.colour,
        edgecolor=look.colour if hollow else "white",
        linewidth=1.4 if hollow else 0.7,
        alpha=0.72,
        zorder=2,
    )
    marks.set_gid(f"point-{point.name}")


def _draw_labels(
    figure: Any,
    axes: Any,
    points: list[Point],
    areas: list[float],
    front: list[Point],
    x: str,
    y: str,
) -> tuple[list[Mark], list[Label]]:
    from matplotlib.lines import Line2D

    renderer = figure.canvas.get_renderer()
    unit = 72 / _DPI

    def at(point: Point) -> tuple[float, float]:
        px, py = axes.transData.transform((_known(point, x), _known(point, y)))
        return float(px) * unit, float(py) * unit  # scalar NumPy floats are slow

    marks, sizes = [], []
    texts = [
        figure.text(0, 0, point.name, fontsize=7.2, color=INK, va="bottom") for point in points
    ]
    for point, area, text in zip(points, areas, texts, strict=True):
        reach = SHAPES[style(point.family).marker][1]
        marks.append(Mark(*at(point), math.sqrt(area) * reach))
        extent = text.get_window_extent(renderer)
        sizes.append((float(extent.width) * unit + 2, float(extent.height) * unit + 1))
    frame = axes.get_window_extent(renderer)
    area_box = Box(
        *(float(edge) * unit for edge in (frame.x0 + 4, frame.y0 + 4, frame.x1, frame.y1))
    )
    steps: list[Segment] = []
    for before, after in itertools.pairwise(map(at, front)):
        corner = (after[0], before[1])
        steps += [(*before, *corner), (*corner, *after)]
    labels = place(marks, sizes, area_box, steps)
    width, height = (72 * inches for inches in figure.get_size_inches())
    for point, text, label in zip(points, texts, labels, strict=True):
        text.set_position(((label.box.left + 1) / width, (label.box.bottom + 1) / height))
        text.set_gid(f"label-{point.name}")
        text.set_zorder(4)
        if label.leader is not None:
            x0, y0, x1, y1 = label.leader
            line = Line2D(
                [x0 / width, x1 / width],
                [y0 / height, y1 / height],
                color=INK,
                linewidth=0.5,
                zorder=3,
                transform=figure.transFigure,
            )
            line.set_gid(f"leader-{point.name}")
            figure.add_artist(line)
    return marks, labels
