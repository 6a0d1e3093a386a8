"""Finds the images in folders, and their classes, without opening them."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from keras_effnets.images.class_names import imagenet_classes

T = TypeVar("T")
StrPath: TypeAlias = str | os.PathLike[str]

SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".j2k", ".jfif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm"),
    *(".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Suffixes, in upper or lower case, of the images in a folder; a file given by its own path may
have any."""

# Anywhere: n01440764_tench.JPEG, n01440764_10026.JPEG, ILSVRC2012_val_1_n01440764.JPEG.
_WORDNET_ID = re.compile(r"(?<![a-z0-9])n\d{8}(?!\d)")


def find_images(paths: Iterable[StrPath]) -> list[Path]:
    """Lists images, each once; see `iterate_images` for the arguments and errors."""
    return list(dict.fromkeys(iterate_images(paths)))


def iterate_images(paths: Iterable[StrPath]) -> Iterator[Path]:
    """Yields images one at a time, so that any number can be processed.

    An image that is asked for twice comes twice.

    Args:
        paths: Files, taken as they are; folders, searched recursively in sorted order without
            hidden files and folders; and shell patterns (`**` for any depth) of both.

    Raises:
        FileNotFoundError: A path does not exist, or nothing matches a pattern.
        ValueError: A folder contains no images.
    """
    for given in paths:
        for path in _matches(Path(given).expanduser()):
            if not path.is_dir():
                yield path
                continue
            found = False
            for image in _below(path):
                found = True
                yield image
            if not found:
                raise ValueError(_no_images(path))


def _matches(path: Path) -> list[Path]:
    if path.exists():
        return [path]
    if not glob.has_magic(str(path)):
        raise FileNotFoundError(f"{path}: there is no such file or folder")
    matches = sorted(map(Path, glob.glob(str(path), recursive=True)))
    if not matches:
        raise FileNotFoundError(f"{path}: no file or folder matches this pattern")
    return matches


def _below(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(parent, name) for name in sorted(files) if _is_image(name))


def _is_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _no_images(folder: Path) -> str:
    return f"{folder}: the folder contains no images (files ending in {', '.join(SUFFIXES)})"


class LabelledImage(NamedTuple):
    """An image and the index of its class."""

    path: Path
    target: int


@dataclass(frozen=True, slots=True)
class LabelledFolder:
    """The images of a folder with their classes."""

    images: Sequence[LabelledImage]
    named_by: str
    """How the classes were found: "WordNet id", "label", "class number" or "sorted order"."""


class Listing(NamedTuple):
    """The images of a folder: either directly in it, or in its subfolders."""

    root: Path
    files: Sequence[Path]
    """The folder's own images in sorted order; empty where there are subfolders of images."""
    below: dict[Path, list[Path]]
    """All images below each subfolder, in sorted order; empty subfolders are included."""


def listing(folder: StrPath) -> Listing:
    """Lists the images of a folder; hidden files and folders are left out.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder contains no images, or both images and subfolders of images.
    """
    root = existing_folder(folder)
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if not entry.is_dir() and _is_image(entry.name)]
    below = {entry: list(_below(entry)) for entry in entries if entry.is_dir()}
    if not files and not any(below.values()):
        raise ValueError(_no_images(root))
    if files and any(below.values()):
        raise ValueError(
            f"{root}: the folder contains both images ({files[0].name}, …) and subfolders of "
            "images; expected one or the other"
        )
    return Listing(root, files, below)


def existing_folder(folder: StrPath) -> Path:
    """Returns the folder's path with `~` expanded.

    Raises:
        FileNotFoundError: The folder does not exist.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "there is no such folder"
        raise FileNotFoundError(f"{root}: {what}")
    return root


def find_labelled_images(
    folder: StrPath, classes: int, labels: Sequence[str] | None = None
) -> LabelledFolder:
    """Lists the images of a folder with their classes.

    The folder contains either one subfolder per class, or images with a WordNet id in their
    names. Subfolders are named after the labels. Without labels they are named by WordNet id for
    1000 classes, or by number from 0; failing that, if there are as many subfolders as classes,
    they stand for the classes in sorted order.

    Args:
        folder: The folder to search; subfolders are searched recursively.
        classes: The number of the model's classes.
        labels: The class names in order, where the model has them; they may be WordNet ids.

    Raises:
        FileNotFoundError: The folder does not exist.
        ValueError: The folder contains no images, or images of an unknown class.
    """
    root, files, below = listing(folder)
    if files:
        return _labelled_by_name(root, files, classes, labels)
    return _labelled_by_folder(root, below, classes, labels)


def _labelled_by_name(
    root: Path, files: Sequence[Path], classes: int, labels: Sequence[str] | None
) -> LabelledFolder:
    known = _known_classes(classes, labels)
    images, unknown = [], []
    for file in files:
        match = _WORDNET_ID.search(file.name)
        target = known.get(match.group()) if match else None
        if target is None:
            unknown.append(file.name)
        else:
            images.append(LabelledImage(file, target))
    if unknown:
        raise ValueError(
            f"{root}: {len(unknown)} of {len(files)} images ({some_names(unknown)}) have no "
            f"WordNet id of one of the model's {classes} classes in their names; put images "
            "without one into a subfolder per class"
        )
    return LabelledFolder(images, "WordNet id")


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
        expected = f"names like {some_names(list(known))}" if known else f"numbers below {classes}"
        raise ValueError(
            f"{root}: {len(unknown)} of {len(names)} subfolders ({some_names(unknown)}) are not "
            f"among the model's {classes} classes; expected {expected}"
            + (f", or {classes} subfolders in the order of the classes" if labels is None else "")
        )
    return LabelledFolder(
        [
            LabelledImage(path, target)
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


def some_names(names: Sequence[str]) -> str:
    """Lists the first three names, for a message."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def spread(items: Sequence[T], limit: int) -> list[T]:
    """Returns at most `limit` items, evenly spread, so that every class of a sorted list comes."""
    count = min(limit, len(items))
    return [items[index * len(items) // count] for index in range(count)]
