"""Which pictures cannot be read, found before a run rather than in it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from keras_effnets.data.batching import default_workers
from keras_effnets.data.labelled import Pictures
from keras_effnets.images.reading import read_rgb


class Broken(NamedTuple):
    """A picture that cannot be read."""

    path: str
    error: str
    """Why, with its path."""


def scan(
    pictures: Pictures, *, progress: Callable[[], None] | None = None
) -> tuple[Pictures, tuple[Broken, ...]]:
    """Decodes every picture, as `batches` will, and drops those that cannot be read.

    Args:
        pictures: To try.
        progress: Called after each picture.

    Returns:
        The readable pictures and the others, both in order.

    Raises:
        ValueError: If there are pictures and none of them can be read.
    """
    readable, broken = [], []
    pool = ThreadPoolExecutor(default_workers())
    try:
        for index, error in enumerate(pool.map(_error, pictures.paths)):
            if error is None:
                readable.append(index)
            else:
                broken.append(Broken(pictures.paths[index], error))
            if progress:
                progress()
    finally:
        pool.shutdown(cancel_futures=True)
    if broken and not readable:
        raise ValueError(f"none of {len(broken)} pictures can be read: {broken[0].error}")
    return (pictures.take(readable) if broken else pictures), tuple(broken)


def _error(path: str) -> str | None:
    try:
        read_rgb(path)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return None
