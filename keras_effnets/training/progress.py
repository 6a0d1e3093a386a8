"""Progress of a run, passed on to the log by default."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger("keras_effnets")


class Reporter:
    """Receives a run's messages and progress; this one logs the messages and draws no bars."""

    def say(self, message: str) -> None:
        """Reports one line to the user."""
        log.info("%s", message)

    @contextmanager
    def bar(self, what: str, pictures: int) -> Iterator[Callable[[int], None]]:
        """Reports progress on this number of images while the block runs.

        Yields:
            A function to call with the number of images done since the last call.
        """
        yield lambda done: None
