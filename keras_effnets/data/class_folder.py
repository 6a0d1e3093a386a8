"""Class folders: one folder of images a class, with or without train and test folders above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from keras_effnets.data.labelled import Pictures, Splits
from keras_effnets.images.folders import StrPath, existing_folder, listing, some_names

PARTS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
}
"""The names of split folders, in any case, and the part each one holds."""


def class_folders(folder: StrPath, *, classes: Sequence[str] | None = None) -> Splits:
    """Finds the images of class folders.

    The folder holds class folders, all for training; or it holds `train` and also `test`, `val`
    (or `valid`, `validation`) or both, each with class folders. A class is named after its
    folder. A class folder may be empty; hidden files and folders are ignored.

    Args:
        folder: The folder to search; class folders are searched recursively.
        classes: The class names in the order to use. If None they are sorted: by number if all
            are numbers, otherwise by name.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If the folder holds no images, if images are outside class folders, or if
            the parts' classes differ from each other or from `classes`.
    """
    root = existing_folder(folder)
    parts = _parts(root)
    if not parts:
        return Splits(_pictures(_found(root), classes, root))
    found = {part: _found(path) for part, path in parts.items()}
    for part, names in found.items():
        if set(names) != set(found["train"]):
            train, other = parts["train"].name, parts[part].name
            raise ValueError(
                f"the classes of {train} and {other} in {root} differ: "
                f"{_only(found['train'], names)} only in {train}, "
                f"{_only(names, found['train'])} only in {other}"
            )
    pictures = {part: _pictures(names, classes, parts[part]) for part, names in found.items()}
    return Splits(pictures["train"], pictures.get("validation"), pictures.get("test"))


def _parts(root: Path) -> dict[str, Path]:
    """The split folders by part; empty if the folder holds class folders."""
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] != ".")
    parts: dict[str, Path] = {}
    for entry in folders:
        part = PARTS.get(entry.name.lower())
        # A class with the name of a part holds images and no folders.
        if part is None or not any(below.is_dir() for below in entry.iterdir()):
            continue
        if part in parts:
            raise ValueError(f"{root}: {parts[part].name} and {entry.name} are both {part} folders")
        parts[part] = entry
    if not parts:
        return {}
    if "train" not in parts:
        found = ", ".join(path.name for path in parts.values())
        raise ValueError(f"{root}: there is {found} but no train folder")
    others = [entry.name for entry in folders if entry not in parts.values()]
    if others:
        raise ValueError(
            f"{root}: {some_names(others)} beside {some_names([p.name for p in parts.values()])}; "
            f"expected either split folders ({', '.join(PARTS)}) or class folders"
        )
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}


def _found(root: Path) -> dict[str, list[Path]]:
    _, files, below = listing(root)
    if files:
        raise ValueError(
            f"{root}: images ({some_names([file.name for file in files])}) outside class folders; "
            "put the images of each class into a folder named after it"
        )
    return {entry.name: paths for entry, paths in below.items()}


def _pictures(found: dict[str, list[Path]], classes: Sequence[str] | None, root: Path) -> Pictures:
    if classes is None:
        numbers = all(name.isdecimal() for name in found)
        order = sorted(found, key=int) if numbers else sorted(found)
    else:
        order = [str(name) for name in classes]
        if set(order) != set(found):
            raise ValueError(
                f"classes and the folders of {root} differ: {_only(order, found)} only in classes, "
                f"{_only(found, order)} only in folders"
            )
    paths = [str(path) for name in order for path in found[name]]
    sizes = [len(found[name]) for name in order]
    return Pictures(tuple(paths), np.repeat(np.arange(len(order)), sizes), tuple(order))


def _only(names: Iterable[str], others: Iterable[str]) -> str:
    known = set(others)
    return some_names([name for name in names if name not in known]) or "none"
