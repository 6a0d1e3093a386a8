"""Pictures in folders: which there are, and of which class each is. None is opened here."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias, TypeVar

from keras_effnets.images.labels import imagenet_classes

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


def iterate_pictures(paths: Iterable[StrPath]) -> Iterator[Path]:
    """Gives what `find_pictures` lists, one after the other and in no list: for a great many.

    A picture that is asked for twice comes twice.

    Raises:
        FileNotFoundError: If there is no such path, or nothing fits a pattern.
        ValueError: If a folder holds no pictures.
    """
    for given in paths:
        for path in _matches(Path(given).expanduser()):
            if not path.is_dir():
                yield path
                continue
            found = False
            for picture in _below(path):
                found = True
                yield picture
            if not found:
                raise ValueError(_no_pictures(path))


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


class Listing(NamedTuple):
    """The pictures of a folder: either its own, or those of the folders in it."""

    root: Path
    files: Sequence[Path]
    """In sorted order; empty where there are folders of pictures."""
    below: dict[Path, list[Path]]
    """Each folder in sorted order, also one without pictures, with all pictures below it."""


def listing(folder: StrPath) -> Listing:
    """Lists the pictures of a folder; hidden files and folders are left out.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no pictures, or both pictures and folders of pictures.
    """
    root = existing_folder(folder)
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
    return Listing(root, files, below)


def existing_folder(folder: StrPath) -> Path:
    """The folder, `~` expanded.

    Raises:
        FileNotFoundError: If there is none.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "there is no such folder"
        raise FileNotFoundError(f"{root}: {what}")
    return root


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
    root, files, below = listing(folder)
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
            f"{root}: {len(unknown)} of {len(files)} pictures ({some_names(unknown)}) have no "
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
        expected = (
            f"names such as {some_names(list(known))}" if known else f"numbers below {classes}"
        )
        raise ValueError(
            f"{root}: {len(unknown)} of {len(names)} folders ({some_names(unknown)}) are none of "
            f"the model's {classes} classes; expected {expected}"
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


def some_names(names: Sequence[str]) -> str:
    """The first three, for a message."""
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def spread(items: Sequence[T], limit: int) -> list[T]:
    """At most `limit` of the items, evenly spread over them, so that sorted classes all come."""
    count = min(limit, len(items))
    return [items[index * len(items) // count] for index in range(count)]
