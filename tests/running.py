"""Running a command in the process of the test."""

from typer import Typer
from typer.testing import CliRunner


def run(app: Typer, *arguments: object) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a command."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.exit_code, result.stdout, result.stderr
