"""`keras-effnets compare` and `figure`: charts of networks side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_effnets.analysis.compare import AXES, FIGURES, collect, draw_chart, draw_figure
from keras_effnets.analysis.compare.draw import check_chart
from keras_effnets.analysis.compare.figures import check_figure, figure_data
from keras_effnets.analysis.compare.model_points import Point
from keras_effnets.analysis.compare.runtime_cost import measure
from keras_effnets.commands.formatting import percent
from keras_effnets.commands.terminal import column_table, literal, progress, show
from keras_effnets.models.registry import resolve
from weights_tools.formats.terminal import AsJson, check_output, complain, show_json

_AXES = ", ".join(AXES)


def compare_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models, families or shell patterns. Default: every model."),
    ] = None,
    x: Annotated[str, typer.Option(help=f"The x axis: {_AXES}.")] = "macs",
    y: Annotated[str, typer.Option(help="The y axis, as for --x.")] = "top1",
    size: Annotated[str, typer.Option(help="The size of the bubbles, as for --x.")] = "params",
    out: Annotated[
        Path | None,
        typer.Option(help="The chart to write: a .png, an .svg, or a self-contained .html page."),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(help="Which published weights: default, or original for the earliest."),
    ] = "default",
    measured: Annotated[
        bool,
        typer.Option(
            "--measure",
            help="Measure latency and peak memory on this machine, one process per model.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Chart the cost and accuracy of networks: the lineage, and its Pareto front."""
    if out is not None:
        check_output("--out", out)
    check_chart(x, y, size, out or Path("chart.png"))
    for option, axis in (("x", x), ("y", y), ("size", size)):
        if AXES[axis].measured and not measured:
            raise ValueError(f"--{option} {axis} needs --measure")
    points = collect(resolve(names or []), recipe=recipe)
    if measured:
        points = _measured(points)
    if out is not None:
        chart = draw_chart(points, out, x=x, y=y, size=size)
        if chart.left_out:
            left_out = ", ".join(point.name for point in chart.left_out)
            complain(f"not drawn, because {x}, {y} or {size} is unknown: {left_out}")
        complain(f"drew {len(chart.drawn)} models: {out}")
    if as_json:
        show_json([_record(point) for point in points])
    elif out is None:
        _show(points, measured)


def _measured(points: list[Point]) -> list[Point]:
    measured = []
    with progress("Measuring", len(points)) as advance:
        for point in points:
            measured.append(point.measured(**measure(point.name)._asdict()))
            advance()
    return measured


def _record(point: Point) -> dict[str, Any]:
    return {field: getattr(point, field) for field in Point.__dataclass_fields__}


def _show(points: list[Point], measured: bool) -> None:
    columns = ["Model", ">Year", ">Top-1", ">M params", ">M mult-adds", ">MB memory"]
    table = column_table(*columns, *([">ms", ">MB peak"] if measured else []), "Accuracy from")
    for point in points:
        cells: list[Any] = [
            literal(point.name, "bold"),
            str(point.year),
            percent(point.top1),
            *(f"{point.value(axis):,.1f}" for axis in ("params", "macs", "memory")),
        ]
        if measured:
            cells += [f"{point.value(axis):,.1f}" for axis in ("latency", "peak")]
        table.add_row(*cells, point.source)
    show(table)


def figure_command(
    name: Annotated[
        str | None, typer.Argument(help="A figure. Without a name, all figures are listed.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The .png or .svg file to write. Default: print the data.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draw a figure that explains the lineage, computed from the networks themselves."""
    if name is None:
        table = column_table("Figure", "What it shows")
        for key, figure in FIGURES.items():
            table.add_row(literal(key, "bold"), figure.title)
        show(table)
        return
    check_figure(name, out)
    if out is not None:
        check_output("--out", out)
        draw_figure(name, out)
        complain(f"drew {out}")
    if as_json or out is None:
        show_json(figure_data(name))
