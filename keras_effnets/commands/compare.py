"""`keras-effnets compare` and `figure`: networks side by side, drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_effnets.analysis.compare import AXES, FIGURES, collect, draw_chart, draw_figure
from keras_effnets.analysis.compare.draw import check_chart
from keras_effnets.analysis.compare.figures import check_figure, figure_data
from keras_effnets.analysis.compare.model_points import Point
from keras_effnets.analysis.compare.runtime_cost import measure
from keras_effnets.commands.options import AsJson
from keras_effnets.commands.terminal import complain, listing, literal, progress, show, show_json
from keras_effnets.commands.words import percent
from keras_effnets.models.registry import resolve

_AXES = ", ".join(AXES)


def compare_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Models, families or shell patterns. Default: every model."),
    ] = None,
    x: Annotated[str, typer.Option(help=f"One of {_AXES}.")] = "macs",
    y: Annotated[str, typer.Option(help="One of the same.")] = "top1",
    size: Annotated[str, typer.Option(help="Of the bubbles: one of the same.")] = "params",
    out: Annotated[
        Path | None, typer.Option(help="A .png, a .svg, or an .html page with nothing else to it.")
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(help="default, or original: the earliest training of those published."),
    ] = "default",
    measured: Annotated[
        bool,
        typer.Option(
            "--measure", help="Latency and peak memory here, each model in its own process."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Chart what networks cost and what they achieve: the lineage, and its Pareto front."""
    if out is not None:
        _check_folder(out)
    check_chart(x, y, size, out or Path("chart.png"))
    for option, axis in (("x", x), ("y", y), ("size", size)):
        if AXES[axis].measured and not measured:
            raise ValueError(f"--{option} {axis} is measured: pass --measure too")
    points = collect(resolve(names or []), recipe=recipe)
    if measured:
        points = _measured(points)
    if out is not None:
        chart = draw_chart(points, out, x=x, y=y, size=size)
        if chart.left_out:
            left_out = ", ".join(point.name for point in chart.left_out)
            complain(f"not drawn, for want of {x}, {y} or {size}: {left_out}")
        complain(f"drew {len(chart.drawn)} models: {out}")
    if as_json:
        show_json([_record(point) for point in points])
    elif out is None:
        _show(points, measured)


def _measured(points: list[Point]) -> list[Point]:
    found = []
    with progress("Measuring", len(points)) as advance:
        for point in points:
            found.append(point.measured(**measure(point.name)._asdict()))
            advance()
    return found


def _record(point: Point) -> dict[str, Any]:
    return {field: getattr(point, field) for field in Point.__dataclass_fields__}


def _show(points: list[Point], measured: bool) -> None:
    columns = ["Model", ">Year", ">Top-1", ">M params", ">M mult-adds", ">MB memory"]
    table = listing(*columns, *([">ms", ">MB peak"] if measured else []), "Accuracy from")
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


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--out {str(path)!r}: there is no folder {path.parent}")


def figure_command(
    name: Annotated[
        str | None, typer.Argument(help="Of a figure; without one, they are listed.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A .png or a .svg.")] = None,
    as_json: AsJson = False,
) -> None:
    """Draw one of the figures that explain the lineage, computed from the networks themselves."""
    if name is None:
        table = listing("Figure", "What it shows")
        for key, figure in FIGURES.items():
            table.add_row(literal(key, "bold"), figure.title)
        show(table)
        return
    check_figure(name, out)
    if out is not None:
        _check_folder(out)
        draw_figure(name, out)
        complain(f"drew {out}")
    if as_json or out is None:
        show_json(figure_data(name))
