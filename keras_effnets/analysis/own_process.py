"""Measurements in a process of their own, so that they inherit neither memory nor settings."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def run_module(
    module: str, argument: str, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Runs `python -m module argument` and returns the JSON object on its last line of output.

    Args:
        module: The module to run.
        argument: Its only argument.
        environment: Environment variables to add to this process's own.

    Raises:
        RuntimeError: The process failed; the message is the last line of its standard error.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, argument],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **(environment or {}), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"exit code {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def peak_memory() -> int:
    """Peak memory of this process, bytes."""
    import resource

    # Linux reports kibibytes, macOS bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
