"""Problems of a data set, found before a run: unreadable files, empty classes, duplicates."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from keras_effnets.data.batching import default_workers
from keras_effnets.data.labelled import Pictures, Splits
from keras_effnets.images.reading import read_rgb


class Broken(NamedTuple):
    """An image that cannot be read."""

    path: str
    error: str
    """The reason; begins with the path."""


def scan(
    pictures: Pictures, *, progress: Callable[[], None] | None = None
) -> tuple[Pictures, tuple[Broken, ...]]:
    """Decodes every image as `batches` will, and drops those that cannot be read.

    Args:
        pictures: The images to check.
        progress: Called after each image.

    Returns:
        The readable images and the broken ones, both in their original order.

    Raises:
        ValueError: If there are images and none of them can be read.
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
        raise ValueError(f"none of {len(broken)} images can be read: {broken[0].error}")
    return (pictures.take(readable) if broken else pictures), tuple(broken)


def _error(path: str) -> str | None:
    try:
        read_rgb(path)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return None


def warnings_of(splits: Splits) -> list[str]:
    """Lists likely mistakes in a data set, one line each.

    It reports a single class, classes without images in a part, and files with identical bytes
    in two parts or more than once in train. Only files of equal size are read.
    """
    return [*_class_warnings(splits), *_duplicate_warnings(splits)]


def _class_warnings(splits: Splits) -> Iterator[str]:
    if len(splits.classes) == 1:
        yield f"there is only one class, {splits.classes[0]}"
    for part, pictures in splits.parts():
        for name, count in zip(splits.classes, pictures.counts(), strict=True):
            if not count:
                yield f"class {name} has no {part} images"


def _duplicate_warnings(splits: Splits) -> Iterator[str]:
    by_size: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for part, pictures in splits.parts():
        for path in pictures.paths:
            try:
                by_size[os.stat(path).st_size].append((part, path))
            except OSError:
                continue  # `scan` reports unreadable files
    by_digest: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for same_size in by_size.values():
        for part, path in same_size if len(same_size) > 1 else ():
            try:
                with open(path, "rb") as file:
                    by_digest[hashlib.file_digest(file, "sha256").digest()].append((part, path))
            except OSError:
                continue
    for copies in by_digest.values():
        parts = dict.fromkeys(part for part, _ in copies)
        paths = ", ".join(path for _, path in copies)
        if len(parts) > 1:
            yield f"the same image is in {' and '.join(parts)}: {paths}"
        elif len(copies) > 1 and "train" in parts:
            yield f"the same image is {len(copies)} times in train: {paths}"
