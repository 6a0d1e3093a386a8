"""Keeps the messages of native libraries off the terminal.

C++ code writes to file descriptor 2 and ignores `sys.stderr`, so the descriptor itself is
redirected, for all threads: wrap short calls only. Python exceptions propagate.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def native_messages_dropped() -> Iterator[None]:
    """Drops what native libraries write to standard error while TensorFlow is imported.

    They write there whatever TF_CPP_MIN_LOG_LEVEL says; later messages obey it, so it is set too.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _native_stderr_dropped():
        yield


@contextlib.contextmanager
def all_messages_dropped() -> Iterator[None]:
    """Drops native messages, and whatever Python writes to standard output and error."""
    with (
        _native_stderr_dropped(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        yield


@contextlib.contextmanager
def _native_stderr_dropped() -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
