"""Files that one test makes and others use, in whichever process of the run they are."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

FOLDER = "KERAS_EFFNETS_TESTS_RUN"
"""The environment variable that names the folder of this run, which all its processes share."""


def made_once(key: object, make: Callable[[Path], None]) -> Path:
    """The file of `key`, which `make` writes where no process of this run has yet."""
    folder = Path(os.environ[FOLDER])
    path = folder / hashlib.sha256(repr(key).encode()).hexdigest()
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            part = path.with_suffix(".part")
            make(part)
            part.rename(path)
    return path
