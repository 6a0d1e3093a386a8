"""The pictures of a run: those that can be read, divided, and told from others."""

from __future__ import annotations

import hashlib
import os
from functools import partial
from pathlib import Path
from typing import Any

from keras_effnets import data
from keras_effnets.data import Broken, Pictures, Splits
from keras_effnets.training.progress import Reporter
from keras_effnets.training.settings import Settings


def readable(splits: Splits, reporter: Reporter) -> tuple[Splits, tuple[Broken, ...]]:
    """The pictures without those that cannot be read, and these.

    Raises:
        ValueError: If no training picture can be read.
    """
    parts: dict[str, Pictures | None] = {}
    broken: list[Broken] = []
    for name in ("train", "validation", "test"):
        part = getattr(splits, name)
        if part is not None:
            with reporter.bar(f"reading {name}", len(part)) as advance:
                part, unreadable = data.scan(part, progress=partial(advance, 1))
            broken += unreadable
        parts[name] = part
    for each in broken:
        reporter.say(f"warning: left out: {each.error}")
    left = Splits(**parts)  # type: ignore[arg-type]  # there is always a train part
    if not len(left.train):
        raise ValueError("none of the training pictures can be read")
    return left, tuple(broken)


def with_validation(splits: Splits, settings: Settings) -> Splits:
    """The pictures with some held out for validation, where the settings ask for it."""
    if splits.validation is not None or not settings.validation:
        return splits
    validation, train = data.split(splits.train, settings.validation, settings.seed)
    return Splits(train=train, validation=validation or None, test=splits.test)


def facts(splits: Splits) -> dict[str, Any]:
    """What tells these data from others: the files' names and sizes, and their classes."""
    told: dict[str, Any] = {"classes": list(splits.classes)}
    for name in ("train", "validation", "test"):
        part = getattr(splits, name)
        told[name] = 0 if part is None else len(part)
        known = hashlib.sha256()
        for path, target in zip(part.paths, part.targets, strict=True) if part else ():
            known.update(f"{Path(path).name}\0{os.path.getsize(path)}\0{target}\n".encode())
        told[f"{name}_digest"] = known.hexdigest()[:16]
    return told
