"""A summary as tables of rich, plain text, Markdown, or a dict for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from keras_effnets.analysis.summary.result import ReceptiveField, Row, Summary

NONE = "-"

COLUMNS = (
    "Layer",
    "Kind",
    "Input",
    "Output",
    "Kernel",
    ">Parameters",
    ">Trainable",
    ">Multiply-adds",
    ">Memory, MB",
    ">Receptive field",
)
"""`>` before a name aligns the column right."""


def tables(summary: Summary, *, lines: bool) -> list[Table]:
    """The layers and the totals; `lines` rules off the head."""
    style = box.SIMPLE_HEAD if lines else None
    layers = Table(box=style, pad_edge=False, padding=(0, 2, 0, 0))
    for column in COLUMNS:
        layers.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            no_wrap=not lines or column.startswith(">"),
        )
    for row in summary.shown():
        name, *others = cells(row)
        indented = "  " * (row.depth - 1) + name
        layers.add_row(*map(Text, (indented, *others)))
    totals = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    totals.add_column(style="dim", no_wrap=True)
    totals.add_column()
    for name, value in totals_of(summary).items():
        totals.add_row(name, Text(value))
    return [layers, totals]


def plain(summary: Summary) -> str:
    """Both tables as text, as wide as they are."""
    console = Console(width=10_000, highlight=False, no_color=True)
    parts = []
    for table in tables(summary, lines=False):
        with console.capture() as text:
            console.print(table)
        parts.append("\n".join(line.rstrip() for line in text.get().splitlines()))
    return "\n\n".join(parts)


def markdown(summary: Summary) -> str:
    """Both tables."""
    heads = [column.removeprefix(">") for column in COLUMNS]
    rules = ["---:" if column.startswith(">") else "---" for column in COLUMNS]
    rows = []
    for row in summary.shown():
        name, *others = map(_escaped, cells(row))
        rows.append([("\u00a0\u00a0" * (row.depth - 1)) + name, *others])
    totals = [[name, _escaped(value)] for name, value in totals_of(summary).items()]
    return "\n".join(
        [*map(_line, [heads, rules, *rows]), "", *map(_line, [["Total", ""], ["---", "---"]])]
        + [_line(total) for total in totals]
    )


def _line(values: Sequence[str]) -> str:
    return f"| {' | '.join(values)} |"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def cells(row: Row) -> list[str]:
    """What the columns say of one layer."""
    trainable = NONE
    if row.parameters:
        trainable = f"{row.trainable / row.parameters:.0%}"
    return [
        row.name,
        row.kind,
        " + ".join(map(_size, row.inputs)) or NONE,
        " + ".join(map(_size, row.outputs)) or NONE,
        "x".join(map(str, row.kernel)) or NONE,
        "shared" if row.shared else _count(row.parameters),
        trainable,
        _known(row),
        f"{row.activation_bytes / 1e6:,.2f}" if row.activation_bytes else NONE,
        seen(row.receptive_field),
    ]


def _size(shape: tuple[int | None, ...]) -> str:
    """Without the batch."""
    return "x".join("?" if size is None else str(size) for size in shape[1:]) or "1"


def _count(number: int) -> str:
    return f"{number:,}" if number else NONE


def _known(row: Row) -> str:
    if not row.unknown:
        return _count(row.multiply_adds)
    return f"{row.multiply_adds:,} + ?" if row.multiply_adds else "?"


def seen(field: ReceptiveField | None) -> str:
    """The pixels along a side, both where they differ; `all` for the whole picture.

    Behind a gate, in brackets, what is seen without it.
    """
    if field is None:
        return NONE
    sizes = [field.sizes[0]] if len(set(field.sizes)) == 1 else list(field.sizes)
    size = "x".join(map(str, sizes))
    if not field.whole:
        return size
    return f"all ({size})" if any(places > 1 for places in field.places) else "all"


def totals_of(summary: Summary) -> dict[str, str]:
    """What stands below the table."""
    found = {
        "Parameters": f"{summary.parameters:,}",
        "  trainable": f"{summary.trainable:,}",
        "  not trainable": f"{summary.not_trainable:,}",
        "Moving statistics": f"{summary.statistics:,} (Keras counts them as parameters)",
        "Multiply-adds": f"{_scaled(summary.multiply_adds)} ({_counted(summary)})",
        "Input": _megabytes(summary.input_bytes),
        "Forward and backward": _megabytes(summary.activation_bytes),
        "Memory of parameters": _megabytes(summary.parameter_bytes),
        "In all": _megabytes(summary.total_bytes),
    }
    if summary.unknown:
        found["Multiply-adds not counted"] = "\n".join(summary.unknown)
    return found


def _counted(summary: Summary) -> str:
    samples = "sample" if summary.batch_size == 1 else "samples"
    authority = {"paper": "as papers count", "torchinfo": "as torchinfo counts"}
    return f"{summary.batch_size} {samples}, {authority[summary.definition]}"


def _scaled(number: int) -> str:
    """In millions and so on, as torchinfo writes it."""
    for power, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= power:
            return f"{number / power:.2f} {unit}"
    return f"{number:,}"


def _megabytes(number: int) -> str:
    return f"{number / 1e6:.2f} MB"


def summary_dict(summary: Summary) -> dict[str, Any]:
    """The summary as deep as its depth, of what JSON knows."""
    plain_fields = (
        *("name", "batch_size", "depth", "definition", "inputs", "parameters", "trainable"),
        *("not_trainable", "statistics", "multiply_adds", "unknown", "input_bytes"),
        *("activation_bytes", "parameter_bytes", "statistics_bytes", "total_bytes"),
    )
    found: dict[str, Any] = {name: getattr(summary, name) for name in plain_fields}
    found["layers"] = [_row_dict(row, summary.depth) for row in summary.rows]
    return found


def _row_dict(row: Row, depth: int) -> dict[str, Any]:
    names = (
        *("name", "path", "kind", "inputs", "outputs", "kernel", "parameters", "trainable"),
        *("statistics", "shared", "multiply_adds", "unknown", "activation_bytes"),
    )
    found: dict[str, Any] = {name: getattr(row, name) for name in names}
    field = row.receptive_field
    found["receptive_field"] = None if field is None else asdict(field)
    found["layers"] = [_row_dict(each, depth) for each in row.rows] if row.depth < depth else []
    return found
