"""Runs a model over image files, decoding ahead of it, and counts its correct answers.

Works with any model that has a layer named "preprocessing" with a preset, as the builders of this
package make; nothing here prints.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_effnets.images.folders import LabelledImage
from keras_effnets.images.model_interface import (
    classifier_layer,
    gives_logits,
    image_preset,
    model_preset,
    softmax,
)
from keras_effnets.images.preprocessing import load_image, preprocess_input
from keras_effnets.images.preset import Preset


@dataclass(frozen=True, slots=True)
class Scored:
    """The outcome for one image."""

    path: Path
    scores: NDArray[np.float32] | None
    """The model's output for the image, (classes,); None for an unreadable image."""
    error: str = ""
    """Why the image cannot be read, with its path."""


def predict_images(
    model: Any, paths: Iterable[Path], *, batch_size: int = 16, workers: int | None = None
) -> Iterator[Scored]:
    """Runs a classifier over images, in order; threads decode ahead while it computes.

    Args:
        model: Takes (B, H, W, 3) pixels 0-255 and returns (B, classes), with a "preprocessing"
            layer. Logits of a "classifier" layer without activation go through a softmax.
        paths: The image files.
        batch_size: Images per batch. Unreadable ones do not count, so that every batch is full;
            the last batch of several is filled up with copies of its last image.
        workers: Number of decoding threads; None uses one per core, at most 8.

    Yields:
        One record per path. At most three batches of images are in memory.

    Raises:
        ValueError: The model has another input or output, or an argument is below 1.
    """
    model_preset(model)
    logits = gives_logits(classifier_layer(model))
    for outcome in run_images(model, paths, batch_size=batch_size, workers=workers):
        if logits and outcome.scores is not None:
            outcome = replace(outcome, scores=softmax(outcome.scores))
        yield outcome


def run_images(
    model: Any, paths: Iterable[Path], *, batch_size: int = 16, workers: int | None = None
) -> Iterator[Scored]:
    """Runs any model over images like `predict_images`; outputs of any shape are unchanged.

    Raises:
        ValueError: The model has another input, or an argument is below 1.
    """
    preset = image_preset(model)

    def scores(batch: NDArray[np.float32]) -> Any:
        return model.predict_on_batch(preprocess_input(batch, model))

    yield from score_images(scores, preset, paths, batch_size=batch_size, workers=workers)


def score_images(
    scores: Callable[[NDArray[np.float32]], Any],
    preset: Preset,
    paths: Iterable[Path],
    *,
    batch_size: int = 16,
    workers: int | None = None,
) -> Iterator[Scored]:
    """Runs any function over images as `predict_images` runs a model.

    Args:
        scores: Takes (B, crop, crop, 3) pixels 0-255 and returns a row for each image.
        preset: How to prepare the images.
        paths: The image files.
        batch_size: Images per batch.
        workers: Number of decoding threads; None uses one per core, at most 8.

    Raises:
        ValueError: An argument is below 1.
    """
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value!r}: expected 1 or more")
    remaining = iter(paths)
    pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1))
    try:
        ahead = deque(
            (path, pool.submit(_decode, path, preset)) for path in islice(remaining, 2 * batch_size)
        )
        group: list[tuple[Path, NDArray[np.float32] | str]] = []
        readable = 0
        traced = 0  # the batch size that the model has run with
        while ahead:
            path, decoding = ahead.popleft()
            ahead.extend(
                (following, pool.submit(_decode, following, preset))
                for following in islice(remaining, 1)
            )
            image = decoding.result()
            group.append((path, image))
            readable += not isinstance(image, str)
            if readable == batch_size or not ahead:
                yield from _scored(scores, group, traced)
                group, readable, traced = [], 0, batch_size
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(path: Path, preset: Preset) -> NDArray[np.float32] | str:
    """Returns an image, or why it can't be read."""
    try:
        return load_image(path, preset)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"{path}: {error.strerror or error}"


def _scored(
    scores: Callable[[NDArray[np.float32]], Any],
    group: Sequence[tuple[Path, NDArray[np.float32] | str]],
    at_least: int,
) -> Iterator[Scored]:
    """Yields one record per image; `scores` gets `at_least` images, the last one repeated."""
    images = [image for _, image in group if not isinstance(image, str)]
    rows: Iterator[NDArray[np.float32]] = iter(())
    if images:
        images += [images[-1]] * (at_least - len(images))
        rows = iter(np.asarray(scores(np.stack(images)), np.float32))
    for path, image in group:
        if isinstance(image, str):
            yield Scored(path, None, image)
        else:
            yield Scored(path, next(rows))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How often a model was right."""

    images: int
    """Number of images read."""
    top1: int
    """How many had their class in first place."""
    top5: int
    """How many had their class among the first five."""
    broken: tuple[Scored, ...]
    """The unreadable images, which do not count."""


def evaluate(
    model: Any,
    images: Sequence[LabelledImage],
    *,
    batch_size: int = 16,
    workers: int | None = None,
    progress: Callable[[], None] | None = None,
) -> Evaluation:
    """Counts how often an image's class is the model's first, or among its first five.

    Args:
        model: As for `predict_images`.
        images: The images with their classes.
        batch_size: Images per batch.
        workers: Number of decoding threads; None uses one per core, at most 8.
        progress: Called after each image.

    Raises:
        ValueError: As in `predict_images`.
    """
    top1 = top5 = 0
    broken = []
    paths = (image.path for image in images)
    outcomes = predict_images(model, paths, batch_size=batch_size, workers=workers)
    for (_, target), outcome in zip(images, outcomes, strict=True):
        if outcome.scores is None:
            broken.append(outcome)
        else:
            # Equal scores count by class index, as in `decode_predictions`.
            best = np.argsort(-outcome.scores, kind="stable")[:5]
            top1 += bool(best[0] == target)
            top5 += bool(target in best)
        if progress:
            progress()
    return Evaluation(len(images) - len(broken), top1, top5, tuple(broken))
