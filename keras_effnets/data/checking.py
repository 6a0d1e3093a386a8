"""What is odd about a data set, though it can be used."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator

from keras_effnets.data.labelled import Splits


def warnings_of(splits: Splits) -> list[str]:
    """Names what is likely a mistake, one line each.

    A single class; classes without pictures in a part; files with the same bytes in two parts,
    or more than once in train. Only files of equal size are read.

    Args:
        splits: To look at.
    """
    return [*_classes(splits), *_copies(splits)]


def _classes(splits: Splits) -> Iterator[str]:
    if len(splits.classes) == 1:
        yield f"there is one class only, {splits.classes[0]}"
    for part, pictures in splits.parts():
        for name, count in zip(splits.classes, pictures.counts(), strict=True):
            if not count:
                yield f"class {name} has no {part} pictures"


def _copies(splits: Splits) -> Iterator[str]:
    places = [(part, path) for part, pictures in splits.parts() for path in pictures.paths]
    by_size: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for part, path in places:
        try:
            by_size[os.stat(path).st_size].append((part, path))
        except OSError:
            continue  # `scan` names what cannot be read
    by_digest: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for same in by_size.values():
        for part, path in same if len(same) > 1 else ():
            try:
                with open(path, "rb") as file:
                    by_digest[hashlib.file_digest(file, "sha256").digest()].append((part, path))
            except OSError:
                continue
    for same in by_digest.values():
        parts = dict.fromkeys(part for part, _ in same)
        paths = ", ".join(path for _, path in same)
        if len(parts) > 1:
            yield f"the same picture is in {' and '.join(parts)}: {paths}"
        elif len(same) > 1 and "train" in parts:
            yield f"the same picture is {len(same)} times in train: {paths}"
