"""The page shows what the command prints.

To rewrite it: `PYTHONPATH=tests python tests/analysis/summary/test_page.py`.
"""

import re
import shlex
from pathlib import Path

from running import run

from keras_effnets.commands.cli import app

PAGE = Path(__file__).parents[3] / "docs/summary.md"
EXAMPLE = re.compile(r"(?<=```\n\$ keras-effnets )(?P<line>.*)\n(?P<output>(?:(?!```).*\n)*)")


def printed(line: str) -> str:
    code, out, err = run(app, *shlex.split(line))
    assert (code, err) == (0, "")
    return out


def test_the_page_shows_what_the_command_prints():
    examples = list(EXAMPLE.finditer(PAGE.read_text("utf-8")))
    assert len(examples) == 2
    for example in examples:
        assert example["output"] == printed(example["line"])


if __name__ == "__main__":
    text = EXAMPLE.sub(lambda found: f"{found['line']}\n{printed(found['line'])}", PAGE.read_text())
    PAGE.write_text(text, "utf-8")
