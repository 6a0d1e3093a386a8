"""Terminal output of both commands: errors, exit codes, JSON and aligned columns.

Imports no Keras, so that `weights-tools inspect` starts at once.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from weights_tools.formats.printable import printable

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def command_app(name: str, summary: str, *functions: Callable[..., None]) -> typer.Typer:
    """Builds an app with a command for each function.

    `export_torch_command` becomes `export-torch`. Errors go to standard error without a traceback:
    a user's mistake (ValueError, FileNotFoundError) exits 2, an interruption 130, any other
    failure 1.
    """
    app = typer.Typer(
        name=name,
        help=summary,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    for function in functions:
        app.command(function.__name__.removesuffix("_command").replace("_", "-"))(
            _with_exit_code(function)
        )
    return app


def _with_exit_code(function: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(function)
    def guarded(*args: Any, **options: Any) -> None:
        try:
            function(*args, **options)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise  # typer handles these
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except (ValueError, FileNotFoundError) as error:
            complain(f"error: {error}")
            raise typer.Exit(2) from error
        except OSError as error:
            complain(f"error: {error}")
            raise typer.Exit(1) from error
        except Exception as error:
            complain(f"error: {type(error).__name__}: {error}")
            raise typer.Exit(1) from error

    return guarded


def check_output(option: str, path: Path, suffix: str = "") -> None:
    """Checks the path of a file to write, before any work is done for it.

    Raises:
        ValueError: If the path does not end in `suffix`.
        FileNotFoundError: If its folder does not exist.
    """
    if suffix and path.suffix.lower() != suffix:
        raise ValueError(f"{option} {str(path)!r}: expected a path ending in {suffix}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{option} {str(path)!r}: there is no folder {path.parent}")


def check_input(path: Path) -> None:
    """Checks that a file exists, before Keras is imported or a model loaded for it.

    Raises:
        FileNotFoundError: If it does not.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")


def complain(message: str) -> None:
    """Writes to standard error."""
    typer.echo("\n".join(map(printable, message.split("\n"))), err=True)


def echo(message: str) -> None:
    """Writes a line to standard output."""
    typer.echo(printable(message))


def show_json(value: Any) -> None:
    """Writes a value to standard output."""
    typer.echo(json.dumps(value, indent=2))


def show_pairs(pairs: dict[str, Any]) -> None:
    """Writes names and their values, one pair a line."""
    show_columns([(key, str(value)) for key, value in pairs.items()])


def show_columns(rows: Sequence[Sequence[str]]) -> None:
    """Writes aligned columns two spaces apart, the same on a terminal and in a pipe."""
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def megabytes(size: int) -> str:
    """Formats a number of bytes, such as "18.7 MB", or in kB below a million."""
    return f"{size / 10 ** (6 if size >= 1e6 else 3):.1f} {'MB' if size >= 1e6 else 'kB'}"
