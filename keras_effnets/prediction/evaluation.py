"""A model over files: decoding pictures ahead of the model, counting what is right.

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

from keras_effnets.images.folders import LabelledPicture
from keras_effnets.images.preprocessing import load_image, preprocess_input
from keras_effnets.images.preset import Preset


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of one picture."""

    path: Path
    scores: NDArray[np.float32] | None
    """What the model gave for it, (classes,); None for a picture that cannot be read."""
    error: str = ""
    """Why it cannot be read, with its path."""


def predict_pictures(
    model: Any, paths: Iterable[Path], *, batch_size: int = 16, workers: int | None = None
) -> Iterator[Scored]:
    """Runs a classifier over pictures, in their order; threads decode ahead while it computes.

    Args:
        model: (B, H, W, 3) pixels 0-255 in, (B, classes) out, with a "preprocessing" layer.
            Logits of a "classifier" layer without activation go through a softmax.
        paths: Of the pictures.
        batch_size: Pictures that the model gets at once. Those that cannot be read do not count,
            so that every batch is full, the last by its last picture again if there are several.
        workers: Threads that decode; None takes as many as there are cores, at most 8.

    Yields:
        One record a path. At most three batches of pictures are in memory.

    Raises:
        ValueError: If the model takes or gives something else, or an argument is below 1.
    """
    model_preset(model)
    classifier = _layer(model, "classifier")
    logits = classifier is not None and getattr(classifier, "activation", "") in (None, "linear")
    for outcome in run_pictures(model, paths, batch_size=batch_size, workers=workers):
        if logits and outcome.scores is not None:
            scores = np.exp(outcome.scores - outcome.scores.max())
            outcome = replace(outcome, scores=scores / scores.sum())
        yield outcome


def run_pictures(
    model: Any, paths: Iterable[Path], *, batch_size: int = 16, workers: int | None = None
) -> Iterator[Scored]:
    """Runs any model over pictures as `predict_pictures` does; outputs are of any shape, as given.

    Raises:
        ValueError: If the model takes something else, or an argument is below 1.
    """
    preset = _picture_preset(model)

    def scores(batch: NDArray[np.float32]) -> Any:
        return model.predict_on_batch(preprocess_input(batch, model))

    yield from score_pictures(scores, preset, paths, batch_size=batch_size, workers=workers)


def score_pictures(
    scores: Callable[[NDArray[np.float32]], Any],
    preset: Preset,
    paths: Iterable[Path],
    *,
    batch_size: int = 16,
    workers: int | None = None,
) -> Iterator[Scored]:
    """Runs anything over pictures as `predict_pictures` runs a model.

    Args:
        scores: Takes (B, crop, crop, 3) pixels 0-255, gives a row for each.
        preset: How it wants its pictures.
        paths: Of the pictures.
        batch_size: Pictures at once.
        workers: Threads that decode; None takes as many as there are cores, at most 8.

    Raises:
        ValueError: If an argument is below 1.
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
        traced = 0  # the size of batch that the model has been run with
        while ahead:
            path, decoding = ahead.popleft()
            ahead.extend(
                (following, pool.submit(_decode, following, preset))
                for following in islice(remaining, 1)
            )
            picture = decoding.result()
            group.append((path, picture))
            readable += not isinstance(picture, str)
            if readable == batch_size or not ahead:
                yield from _scored(scores, group, traced)
                group, readable, traced = [], 0, batch_size
    finally:
        pool.shutdown(cancel_futures=True)


def model_preset(model: Any) -> Preset:
    """How a classifier wants its pictures.

    Raises:
        ValueError: If it does not say so, or is not from RGB pictures to scores of classes.
    """
    preset = _picture_preset(model)
    gives = model.output_shape
    if not isinstance(gives, tuple) or len(gives) != 2 or gives[1] is None:
        raise ValueError(f"model {model.name!r} gives {gives}, and not (B, classes)")
    return preset


def _picture_preset(model: Any) -> Preset:
    preset = getattr(_layer(model, "preprocessing"), "preset", None)
    if not isinstance(preset, Preset):
        raise ValueError(
            f"model {model.name!r} has no layer named 'preprocessing' that holds a preset, as the "
            "models of this package have"
        )
    takes, wanted = model.input_shape, (preset.crop, preset.crop, 3)
    if not isinstance(takes, tuple) or len(takes) != 4 or takes[3] != 3:
        raise ValueError(f"model {model.name!r} takes {takes}, and not RGB pictures (B, H, W, 3)")
    if any(side not in (None, preset.crop) for side in takes[1:3]):
        raise ValueError(f"model {model.name!r} takes {takes}, and its preset gives {wanted}")
    return preset


def _decode(path: Path, preset: Preset) -> NDArray[np.float32] | str:
    """A picture, or why there is none."""
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
    """One record a picture; `scores` gets `at_least` so many, the last one again and again."""
    pictures = [picture for _, picture in group if not isinstance(picture, str)]
    rows: Iterator[NDArray[np.float32]] = iter(())
    if pictures:
        pictures += [pictures[-1]] * (at_least - len(pictures))
        rows = iter(np.asarray(scores(np.stack(pictures)), np.float32))
    for path, picture in group:
        if isinstance(picture, str):
            yield Scored(path, None, picture)
        else:
            yield Scored(path, next(rows))


def model_labels(model: Any) -> Sequence[str] | None:
    """The class names that a model's "classifier" layer holds, or None."""
    labels: Sequence[str] | None = getattr(_layer(model, "classifier"), "labels", None)
    return labels


def _layer(model: Any, name: str) -> Any:
    return next((layer for layer in model.layers if layer.name == name), None)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How often a model was right."""

    pictures: int
    """That were read."""
    top1: int
    """Of them, those whose class was the first."""
    top5: int
    """Of them, those whose class was among the first five."""
    broken: tuple[Scored, ...]
    """Those that could not be read; they do not count."""


def evaluate(
    model: Any,
    pictures: Sequence[LabelledPicture],
    *,
    batch_size: int = 16,
    workers: int | None = None,
    progress: Callable[[], None] | None = None,
) -> Evaluation:
    """Counts how often the class of a picture is the model's first, or among its first five.

    Args:
        model: As for `predict_pictures`, and so are `batch_size` and `workers`.
        pictures: With their classes.
        batch_size: Pictures that the model gets at once.
        workers: Threads that decode.
        progress: Called after each picture.

    Raises:
        ValueError: As `predict_pictures` does.
    """
    top1 = top5 = 0
    broken = []
    outcomes = predict_pictures(
        model, (picture.path for picture in pictures), batch_size=batch_size, workers=workers
    )
    for (_, target), outcome in zip(pictures, outcomes, strict=True):
        if outcome.scores is None:
            broken.append(outcome)
        else:
            # Equal scores by class index, as in `decode_predictions`.
            best = np.argsort(-outcome.scores, kind="stable")[:5]
            top1 += bool(best[0] == target)
            top5 += bool(target in best)
        if progress:
            progress()
    return Evaluation(len(pictures) - len(broken), top1, top5, tuple(broken))
