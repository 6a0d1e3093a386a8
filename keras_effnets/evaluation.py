"""A model over files: finding pictures, decoding them ahead of the model, counting what is right.

Works with any model that has a layer named "preprocessing" with a preset, as the builders of this
package make; nothing here prints.
"""

from __future__ import annotations

import glob
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from keras_effnets.preprocessing import imagenet_classes, load_image, preprocess_input
from keras_effnets.preset import Preset

T = TypeVar("T")
StrPath: TypeAlias = str | os.PathLike[str]

SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Endings, in any case, by which a picture in a folder is known; a file that is named itself may
have any."""

# Wherever it stands: n01440764_tench.JPEG, n01440764_10026.JPEG, ILSVRC2012_val_1_n01440764.JPEG.
_WORDNET_ID = re.compile(r"(?<![a-z0-9])n\d{8}(?!\d)")


def find_pictures(paths: Iterable[StrPath]) -> list[Path]:
    """Lists pictures, each once.

    Args:
        paths: Files, taken as they are; folders, searched with all below them, in sorted order,
            hidden ones left out; and shell patterns (`**` for any depth) of both.

    Raises:
        FileNotFoundError: If there is no such path, or nothing fits a pattern.
        ValueError: If a folder holds no pictures.
    """
    found: dict[Path, None] = {}
    for given in paths:
        for path in _matches(Path(given).expanduser()):
            if not path.is_dir():
                found[path] = None
                continue
            pictures = list(_below(path))
            if not pictures:
                raise ValueError(_no_pictures(path))
            found.update(dict.fromkeys(pictures))
    return list(found)


def _matches(path: Path) -> list[Path]:
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    matches = sorted(map(Path, glob.glob(str(path), recursive=True)))
    if not matches:
        raise FileNotFoundError(f"{path}: no file or folder fits this pattern")
    return matches


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if _is_picture(name))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _no_pictures(folder: Path) -> str:
    return f"{folder}: the folder holds no pictures (files ending in {', '.join(SUFFIXES)})"


@dataclass(frozen=True, slots=True)
class Scored:
    """What became of one picture."""

    path: Path
    scores: NDArray[np.float32] | None
    """(classes,); None for a picture that cannot be read."""
    error: str = ""
    """Why it cannot be read, with its path."""


def predict_pictures(
    model: Any, paths: Iterable[Path], *, batch_size: int = 16, workers: int | None = None
) -> Iterator[Scored]:
    """Runs a model over pictures, in their order; threads decode ahead while it computes.

    Args:
        model: (B, H, W, 3) pixels 0-255 in, (B, classes) out, with a "preprocessing" layer.
            Logits of a "classifier" layer without activation go through a softmax.
        paths: Of the pictures.
        batch_size: Pictures that the model gets at once. Those that cannot be read do not count,
            so that every batch but the last is full.
        workers: Threads that decode; None takes as many as there are cores, at most 8.

    Yields:
        One record a path. At most three batches of pictures are in memory.

    Raises:
        ValueError: If the model takes or gives something else, or an argument is below 1.
    """
    for name, value in (("batch_size", batch_size), ("workers", workers)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value!r}: expected 1 or more")
    preset = model_preset(model)
    remaining = iter(paths)
    pool = ThreadPoolExecutor(workers or min(8, os.cpu_count() or 1))
    try:
        ahead = deque(
            (path, pool.submit(_decode, path, preset)) for path in islice(remaining, 2 * batch_size)
        )
        group: list[tuple[Path, NDArray[np.float32] | str]] = []
        readable = 0
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
                yield from _scored(model, group)
                group, readable = [], 0
    finally:
        pool.shutdown(cancel_futures=True)


def model_preset(model: Any) -> Preset:
    """How a model wants its pictures.

    Raises:
        ValueError: If it does not say so, or is not from RGB pictures to scores of classes.
    """
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
    gives = model.output_shape
    if not isinstance(gives, tuple) or len(gives) != 2 or gives[1] is None:
        raise ValueError(f"model {model.name!r} gives {gives}, and not (B, classes)")
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
    model: Any, group: Sequence[tuple[Path, NDArray[np.float32] | str]]
) -> Iterator[Scored]:
    pictures = [picture for _, picture in group if not isinstance(picture, str)]
    rows = iter(_scores(model, np.stack(pictures)) if pictures else ())
    for path, picture in group:
        if isinstance(picture, str):
            yield Scored(path, None, picture)
        else:
            yield Scored(path, next(rows))


def _scores(model: Any, pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    scores = np.asarray(model.predict_on_batch(preprocess_input(pictures, model)), np.float32)
    classifier = _layer(model, "classifier")
    if classifier is not None and getattr(classifier, "activation", "") in (None, "linear"):
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
        scores /= scores.sum(axis=1, keepdims=True)
    return scores


def model_labels(model: Any) -> Sequence[str] | None:
    """The class names that a model's "classifier" layer holds, or None."""
    labels: Sequence[str] | None = getattr(_layer(model, "classifier"), "labels", None)
    return labels


def _layer(model: Any, name: str) -> Any:
    return next((layer for layer in model.layers if layer.name == name), None)


class LabelledPicture(NamedTuple):
    """A picture and the index of its class."""

    path: Path
    target: int


@dataclass(frozen=True, slots=True)
class LabelledFolder:
    """The pictures of a folder with their classes."""

    pictures: Sequence[LabelledPicture]
    named_by: str
    """What told the classes: "WordNet id", "label", "class number" or "sorted order"."""


def find_labelled_pictures(
    folder: StrPath, classes: int, labels: Sequence[str] | None = None
) -> LabelledFolder:
    """Lists the pictures of a folder with their classes.

    The folder holds either one folder a class, or pictures with a WordNet id in their names. The
    folders are called by the labels, or without labels, by the WordNet ids where there are 1000
    classes, else by numbers from 0; else, where there are as many folders as classes, their
    sorted order is the order of the classes.

    Args:
        folder: To search; class folders with all below them.
        classes: How many the model has.
        labels: Their names in order, where the model has them; they may be WordNet ids.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no pictures, or some of an unknown class.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "there is no such folder"
        raise FileNotFoundError(f"{root}: {what}")
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if not entry.is_dir() and _is_picture(entry.name)]
    below = {entry: list(_below(entry)) for entry in entries if entry.is_dir()}
    if not files and not any(below.values()):
        raise ValueError(_no_pictures(root))
    if files and any(below.values()):
        raise ValueError(
            f"{root}: the folder holds both pictures ({files[0].name}, …) and folders of pictures; "
            "expected one or the other"
        )
    if files:
        return _labelled_by_name(root, files, classes, labels)
    return _labelled_by_folder(root, below, classes, labels)


def _labelled_by_name(
    root: Path, files: Sequence[Path], classes: int, labels: Sequence[str] | None
) -> LabelledFolder:
    known = _known_classes(classes, labels)
    pictures, unknown = [], []
    for file in files:
        match = _WORDNET_ID.search(file.name)
        target = known.get(match.group()) if match else None
        if target is None:
            unknown.append(file.name)
        else:
            pictures.append(LabelledPicture(file, target))
    if unknown:
        raise ValueError(
            f"{root}: {len(unknown)} of {len(files)} pictures ({_some(unknown)}) have no "
            f"WordNet id in their names that is one of the model's {classes} classes; put others "
            "into a folder for each class"
        )
    return LabelledFolder(pictures, "WordNet id")


def _labelled_by_folder(
    root: Path, below: dict[Path, list[Path]], classes: int, labels: Sequence[str] | None
) -> LabelledFolder:
    names = [entry.name for entry in below]
    known = _known_classes(classes, labels)
    if all(name in known for name in names):
        targets = [known[name] for name in names]
        named_by = "WordNet id" if labels is None else "label"
    elif labels is None and all(name.isdecimal() and int(name) < classes for name in names):
        targets, named_by = [int(name) for name in names], "class number"
    elif labels is None and len(names) == classes:
        targets, named_by = list(range(classes)), "sorted order"
    else:
        unknown = [name for name in names if name not in known]
        expected = f"names such as {_some(list(known))}" if known else f"numbers below {classes}"
        raise ValueError(
            f"{root}: {len(unknown)} of {len(names)} folders ({_some(unknown)}) are none of the "
            f"model's {classes} classes; expected {expected}"
            + (f", or {classes} folders in the order of the classes" if labels is None else "")
        )
    return LabelledFolder(
        [
            LabelledPicture(path, target)
            for target, paths in zip(targets, below.values(), strict=True)
            for path in paths
        ],
        named_by,
    )


def _known_classes(classes: int, labels: Sequence[str] | None) -> dict[str, int]:
    if labels is not None:
        return {label: index for index, label in enumerate(labels)}
    if classes == 1000:
        return {wordnet_id: index for index, (wordnet_id, _) in enumerate(imagenet_classes())}
    return {}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def spread(items: Sequence[T], limit: int) -> list[T]:
    """At most `limit` of the items, evenly spread over them, so that sorted classes all come."""
    count = min(limit, len(items))
    return [items[index * len(items) // count] for index in range(count)]


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
