"""The images of a run: drop unreadable ones, hold out validation images, identify the data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_effnets.data import Broken, Pictures, Splits, scan, split
from keras_effnets.prediction.evaluation import Scored
from keras_effnets.training.progress import Reporter
from keras_effnets.training.settings import Settings


def drop_unreadable(splits: Splits, reporter: Reporter) -> tuple[Splits, tuple[Broken, ...]]:
    """Returns the readable images and the broken ones.

    Raises:
        ValueError: If no training image can be read.
    """
    parts: dict[str, Pictures] = {}
    broken: list[Broken] = []
    for name, part in splits.parts():
        with reporter.bar(f"reading {name}", len(part)) as advance:
            parts[name], unreadable = scan(part, progress=partial(advance, 1))
        broken += unreadable
    for each in broken:
        reporter.say(f"warning: left out: {each.error}")
    if not len(parts["train"]):
        raise ValueError("no training image can be read")
    return Splits(**parts), tuple(broken)


def hold_out_validation(splits: Splits, settings: Settings) -> Splits:
    """Splits off validation images unless the data has some or the settings ask for none."""
    if splits.validation is not None or not settings.validation:
        return splits
    validation, train = split(splits.train, settings.validation, settings.seed)
    return Splits(train=train, validation=validation or None, test=splits.test)


def fingerprint(splits: Splits) -> dict[str, Any]:
    """Identifies the data: the classes and, by part, the number of images and a digest.

    The digest covers each file's name and size and its class.
    """
    facts: dict[str, Any] = {"classes": list(splits.classes)}
    for name in ("train", "validation", "test"):
        part = getattr(splits, name)
        facts[name] = 0 if part is None else len(part)
        digest = hashlib.sha256()
        for path, target in zip(part.paths, part.targets, strict=True) if part else ():
            digest.update(f"{Path(path).name}\0{os.path.getsize(path)}\0{target}\n".encode())
        facts[f"{name}_digest"] = digest.hexdigest()[:16]
    return facts


def outputs_in_order(
    scored: Iterable[Scored], count: int, what: str, reporter: Reporter
) -> Iterator[NDArray[np.float32]]:
    """Yields the model's output for each image and reports progress as `what`.

    Raises:
        ValueError: If an image cannot be read.
    """
    with reporter.bar(what, count) as advance:
        for each in scored:
            if each.scores is None:
                raise ValueError(each.error)
            yield each.scores
            advance(1)
