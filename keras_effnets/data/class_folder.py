"""Class folders: a folder of pictures for each class, with or without a split above them."""

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
"""What the folders of a split are called, in any case, and which part each is."""


def class_folders(folder: StrPath, *, classes: Sequence[str] | None = None) -> Splits:
    """Finds the pictures of class folders.

    The folder holds `train`, and `test` or `val` (or `valid`, `validation`) or both, each of
    class folders; or it holds the class folders themselves, and all is for training. A class is
    called like its folder. A class folder may be empty; hidden files and folders do not count.

    Args:
        folder: To search; class folders with all below them.
        classes: The names of the classes in the wanted order. Without it they are sorted: by
            number where all are numbers, else by name.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no pictures, or not in class folders, or the parts have other
            classes than each other or than `classes`.
    """
    root = existing_folder(folder)
    parts = _parts(root)
    if not parts:
        return Splits(_pictures(_found(root), classes, root))
    found = {part: _found(path) for part, path in parts.items()}
    for part, names in found.items():
        if set(names) != set(found["train"]):
            raise ValueError(_unlike(parts["train"], found["train"], parts[part], names))
    pictures = {part: _pictures(names, classes, parts[part]) for part, names in found.items()}
    return Splits(pictures["train"], pictures.get("validation"), pictures.get("test"))


def _parts(root: Path) -> dict[str, Path]:
    """The folders of a split; none where the class folders come at once."""
    folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and entry.name[0] != ".")
    parts: dict[str, Path] = {}
    for entry in folders:
        part = PARTS.get(entry.name.lower())
        # A class of that name has pictures in it, and no folders.
        if part is None or not any(below.is_dir() for below in entry.iterdir()):
            continue
        if part in parts:
            raise ValueError(f"{root}: both {parts[part].name} and {entry.name} are {part} folders")
        parts[part] = entry
    if not parts:
        return {}
    if "train" not in parts:
        found = ", ".join(path.name for path in parts.values())
        raise ValueError(f"{root}: there is {found} and no train beside it")
    others = [entry.name for entry in folders if entry not in parts.values()]
    if others:
        raise ValueError(
            f"{root}: {some_names(others)} beside {some_names([p.name for p in parts.values()])}; "
            f"expected folders of a split ({', '.join(PARTS)}) or class folders, not both"
        )
    return {part: parts[part] for part in ("train", "validation", "test") if part in parts}


def _found(root: Path) -> dict[str, list[Path]]:
    _, files, below = listing(root)
    if files:
        raise ValueError(
            f"{root}: the pictures ({some_names([file.name for file in files])}) are in no class "
            "folders; put those of each class into a folder of its name"
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
                f"classes and the folders of {root} differ: {_only(order, found)} in classes "
                f"alone, {_only(found, order)} in folders alone"
            )
    paths = [str(path) for name in order for path in found[name]]
    sizes = [len(found[name]) for name in order]
    return Pictures(tuple(paths), np.repeat(np.arange(len(order)), sizes), tuple(order))


def _unlike(
    one: Path, ones: dict[str, list[Path]], other: Path, others: dict[str, list[Path]]
) -> str:
    return (
        f"{one.name} and {other.name} in {one.parent} have other classes: "
        f"{_only(ones, others)} in {one.name} alone, {_only(others, ones)} in {other.name} alone"
    )


def _only(names: Iterable[str], others: Iterable[str]) -> str:
    known = set(others)
    return some_names([name for name in names if name not in known]) or "none"
