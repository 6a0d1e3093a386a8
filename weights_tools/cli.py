"""The `weights-tools` command."""

from weights_tools.commands import cache
from weights_tools.commands.convert import convert_command
from weights_tools.commands.export_torch import export_torch_command
from weights_tools.commands.inspect import inspect_command
from weights_tools.commands.record import record_command
from weights_tools.commands.verify import verify_command
from weights_tools.formats.terminal import command_app

app = command_app(
    "weights-tools",
    "Inspect checkpoints of other libraries, and convert them for keras_effnets.",
    inspect_command,
    convert_command,
    export_torch_command,
    verify_command,
    record_command,
)
app.add_typer(
    command_app("cache", cache.HELP, cache.list_command, cache.prune_command, cache.path_command)
)


def main() -> None:
    """Runs the command. Exits 2 for a user's mistake, 1 for a failure, 130 when interrupted."""
    app(prog_name="weights-tools")
