"""The `weights-tools` command."""

import typer

from weights_tools.commands import cache
from weights_tools.commands.convert import convert
from weights_tools.commands.export_torch import export_torch
from weights_tools.commands.inspect import inspect
from weights_tools.commands.record import record
from weights_tools.commands.verify import verify
from weights_tools.formats.terminal import command

app = typer.Typer(
    name="weights-tools",
    help="Looks into checkpoints of other libraries, and converts them for keras_effnets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _function in (inspect, convert, export_torch, verify, record):
    command(app, _function)

_cache = typer.Typer(
    help=cache.HELP,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _subcommand in (cache.list_, cache.prune, cache.path):
    command(_cache, _subcommand)
app.add_typer(_cache, name="cache")


def main() -> None:
    """Runs the command. Exits 2 for a user's mistake, 1 for a failure, 130 when interrupted."""
    app(prog_name="weights-tools")
