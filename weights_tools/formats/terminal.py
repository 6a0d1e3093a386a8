"""How the command speaks: aligned columns, JSON, and every error in one way. Imports no Keras."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

import typer


# `keras_effnets.commands.terminal` does the same for the other command, and imports Keras.
def command(app: typer.Typer, function: Callable[..., None]) -> None:
    """Makes a function a command whose errors are a message on standard error and an exit code.

    A user's mistake (ValueError, FileNotFoundError) exits 2, any other failure 1, an interruption
    130; there is never a traceback. Underscores in the function's name become dashes, and one at
    its end, which keeps it from being a name of Python's, is dropped.
    """

    @functools.wraps(function)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except (typer.Exit, BrokenPipeError):
            raise  # typer's own business
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (ValueError, FileNotFoundError) as error:  # a CheckpointError is a ValueError
            complain(str(error))
            raise typer.Exit(2) from error
        except OSError as error:
            complain(str(error))
            raise typer.Exit(1) from error
        except Exception as error:  # a command never ends in a traceback
            complain(f"{type(error).__name__}: {error}")
            raise typer.Exit(1) from error

    app.command(function.__name__.rstrip("_").replace("_", "-"))(guarded)


def complain(message: str) -> None:
    """Writes an error to standard error."""
    lines = f"error: {message}".split("\n")
    typer.echo("\n".join(map(printable, lines)), err=True)


def show_json(value: Any) -> None:
    """Writes a value to standard output."""
    typer.echo(json.dumps(value, indent=2))


def show_pairs(pairs: dict[str, Any]) -> None:
    """Writes names and their values, a line each."""
    show_columns([(key, str(value)) for key, value in pairs.items()])


def show_columns(rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, two spaces apart; the same on a terminal and in a pipe."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def printable(text: str) -> str:
    """The text with what is no visible character escaped: names in a file may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def megabytes(size: int) -> str:
    """Such as "18.7 MB"; a number of bytes in kB below a million."""
    return f"{size / 10 ** (6 if size >= 1e6 else 3):.1f} {'MB' if size >= 1e6 else 'kB'}"
