"""Who hears how a run goes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger("keras_effnets")


class Reporter:
    """Hears how a run goes, and passes it on to the log; the command draws bars instead."""

    def say(self, message: str) -> None:
        """One line for the user."""
        log.info("%s", message)

    @contextmanager
    def bar(self, what: str, pictures: int) -> Iterator[Callable[[int], None]]:
        """Work on so many pictures.

        Yields:
            What to call with the number of pictures done since.
        """
        yield lambda done: None
