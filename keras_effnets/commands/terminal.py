"""How the command speaks: tables on a terminal, plain text in a pipe, every error in one way."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from keras_effnets.training import Reporter

F = TypeVar("F", bound=Callable[..., None])


def command(app: typer.Typer, name: str) -> Callable[[F], F]:
    """Makes a function a command whose errors are a message on standard error and an exit code.

    A user's mistake (ValueError, FileNotFoundError) exits 2, any other failure 1, an interruption
    130; there is never a traceback.
    """

    def register(function: F) -> F:
        @functools.wraps(function)
        def guarded(*args: Any, **options: Any) -> None:
            try:
                function(*args, **options)
            except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
                raise  # typer's own business
            except KeyboardInterrupt:
                raise typer.Exit(130) from None
            except (ValueError, FileNotFoundError) as error:
                complain(f"error: {error}")
                raise typer.Exit(2) from error
            except OSError as error:
                complain(f"error: {error}")
                raise typer.Exit(1) from error
            except Exception as error:  # a command never ends in a traceback
                complain(f"error: {type(error).__name__}: {error}")
                raise typer.Exit(1) from error

        app.command(name)(guarded)
        return function

    return register


def complain(message: str) -> None:
    """Writes to standard error."""
    typer.echo("\n".join(map(printable, message.split("\n"))), err=True)


def echo(message: str) -> None:
    """Writes to standard output."""
    typer.echo(printable(message))


def show_json(value: Any) -> None:
    """Writes a value to standard output."""
    typer.echo(json.dumps(value, indent=2))


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


def listing(*columns: str) -> Table:
    """An empty table with a head; `>` before a column's name aligns it right."""
    lines = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table = Table(box=lines, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        right = column.startswith(">")
        table.add_column(
            column.removeprefix(">"), justify="right" if right else "left", no_wrap=right
        )
    return table


def record(title: str, values: dict[str, str]) -> Table:
    """A table of names and their values, under a title."""
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
    for name, value in values.items():
        table.add_row(f"  {name}", literal(value))
    return table


def literal(value: object, style: str = "") -> Text:
    """Text for a table: no markup in it is obeyed, nor is a terminal's control code."""
    return Text(printable(str(value)), style=style)


def printable(text: str) -> str:
    """The text with what is no visible character escaped: file names may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


@contextmanager
def progress(what: str, total: int, *, hidden_to: int = 0) -> Iterator[Callable[[], None]]:
    """A bar on standard error, where that is a terminal and there are more than `hidden_to`.

    Yields:
        What to call after each step.
    """
    console = Console(stderr=True)
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or total <= hidden_to,
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


class RunReporter(Reporter):
    """Shows a run on standard error: a line a message, and bars where that is a terminal."""

    def say(self, message: str) -> None:
        """Writes the line."""
        complain(message)

    @contextmanager
    def bar(self, what: str, pictures: int) -> Iterator[Callable[[int], None]]:
        """Shows the pictures done, how many a second, and the time left.

        Yields:
            What to call with the number of pictures done since.
        """
        console = Console(stderr=True)
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ) as bar:
            task = bar.add_task(what, total=pictures)
            yield lambda done: bar.advance(task, done)


class _Speed(ProgressColumn):
    """Pictures a second."""

    def render(self, task: Task) -> Text:
        """The speed, once it is known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} pictures/s" if speed else "", style="progress.data.speed")
