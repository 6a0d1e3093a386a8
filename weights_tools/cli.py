"""The `weights-tools` command."""

import typer

from weights_tools.commands.convert import convert
from weights_tools.commands.inspect import inspect
from weights_tools.terminal import command

app = typer.Typer(
    name="weights-tools",
    help="Looks into checkpoints of other libraries, and converts them for keras_effnets.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _function in (inspect, convert):
    command(app, _function)


def main() -> None:
    """Runs the command. Exits 2 for a user's mistake, 1 for a failure, 130 when interrupted."""
    app(prog_name="weights-tools")
