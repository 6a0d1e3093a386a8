"""Starts the commands without TensorFlow's greeting.

TensorFlow's libraries write to standard error while they are loaded, whatever
TF_CPP_MIN_LOG_LEVEL says; a command speaks only for itself. This stands here because importing
any part of `keras_effnets` loads them.
"""

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def native_messages_dropped() -> Iterator[None]:
    """Keeps what native libraries write from the terminal; Python's errors are raised as ever."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def keras_effnets() -> None:
    """The `keras-effnets` command."""
    with native_messages_dropped():
        from keras_effnets.commands.cli import main
    main()
