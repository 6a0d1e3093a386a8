"""Tables and progress bars: rich on a terminal, plain text in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from weights_tools.formats.printable import printable


def show(*tables: Table) -> None:
    """Writes tables to standard output, with an empty line between them."""
    terminal = sys.stdout.isatty()
    # A pipe has no width: nothing is wrapped or cut there.
    console = Console(highlight=False, width=None if terminal else 10_000)
    for number, table in enumerate(tables):
        if number:
            typer.echo()
        if terminal:
            console.print(table)
            continue
        with console.capture() as text:
            console.print(table)
        typer.echo("\n".join(line.rstrip() for line in text.get().splitlines()))


def column_table(*columns: str) -> Table:
    """Returns an empty table with these headings; `>` before a heading aligns it right."""
    lines = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=lines, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"), justify="right" if right else "left", no_wrap=right
        )
    return table


def facts_table(title: str, facts: dict[str, str]) -> Table:
    """Returns a table of names and values under a title."""
    table = Table(
        box=None,
        show_header=False,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        title=literal(title, "bold"),
        title_justify="left",
        title_style="",
    )
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(f"  {name}", literal(value))
    return table


def literal(value: object, style: str = "") -> Text:
    """Makes text for a table; markup and control codes in it have no effect."""
    return Text(printable(str(value)), style=style)


def progress_bar(*columns: ProgressColumn, hidden: bool = False) -> Progress:
    """Returns a bar on standard error, which shows only if that is a terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
    )


@contextmanager
def progress(task: str, total: int, *, hidden_up_to: int = 0) -> Iterator[Callable[[], None]]:
    """Shows a bar on standard error, if that is a terminal and `total` exceeds `hidden_up_to`.

    Yields:
        A function to call after each step.
    """
    with progress_bar(hidden=total <= hidden_up_to) as bar:
        number = bar.add_task(task, total=total)
        yield lambda: bar.advance(number)
