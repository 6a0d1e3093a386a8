"""A bar for what takes long, where somebody is looking."""

import contextlib
import sys
from collections.abc import Callable, Iterator

Progress = Callable[[int, int | None], None]
"""Takes how much is done, and of how much; None where nobody knows."""


@contextlib.contextmanager
def bytes_on_terminal(name: str) -> Iterator[Progress]:
    """A bar that counts bytes on standard error, and nothing where that is no terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich import progress
    from rich.console import Console

    with progress.Progress(
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
