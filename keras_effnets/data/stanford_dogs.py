"""Stanford Dogs as its authors publish it: `images.tar` and `lists.tar`, unpacked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from keras_effnets.data.extras import missing
from keras_effnets.data.labelled import Pictures, Splits
from keras_effnets.images.folders import StrPath, existing_folder, some_names

_WORDNET_ID = re.compile(r"^n\d{8}-")
IMAGES, TRAIN_LIST, TEST_LIST = "Images", "train_list.mat", "test_list.mat"


def dogs_archive(folder: StrPath) -> Splits:
    """Finds the pictures of the unpacked archives, split as their lists say.

    Args:
        folder: With `Images`, and `train_list.mat` and `test_list.mat` beside it or in `lists`.

    Raises:
        FileNotFoundError: If one of these, or a picture of the lists, is not there.
        ImportError: If SciPy, which reads the lists, is not installed.
        ValueError: If a list is damaged, or the two have other classes.
    """
    root = existing_folder(folder)
    images = existing_folder(root / IMAGES)
    train, test = (_names(_list(root, name)) for name in (TRAIN_LIST, TEST_LIST))
    folders, others = (
        sorted({name.partition("/")[0] for name in names}) for names in (train, test)
    )
    if folders != others:
        unlike = sorted(set(folders) ^ set(others))
        raise ValueError(f"{root}: {some_names(unlike)} in one of train_list and test_list alone")
    return Splits(_pictures(images, train, folders), test=_pictures(images, test, folders))


def is_dogs_archive(folder: StrPath) -> bool:
    """Whether the folder looks like the unpacked archives."""
    root = Path(folder).expanduser()
    return (root / IMAGES).is_dir() and any(path.is_file() for path in _places(root, TRAIN_LIST))


def breed(folder_name: str) -> str:
    """The class of a folder: "Chihuahua" of "n02085620-Chihuahua"."""
    return _WORDNET_ID.sub("", folder_name)


def _places(root: Path, name: str) -> tuple[Path, ...]:
    return root / "lists" / name, root / name


def _list(root: Path, name: str) -> Path:
    places = _places(root, name)
    for path in places:
        if path.is_file():
            return path
    raise FileNotFoundError(f"{places[0]}: there is no such file, and none beside {IMAGES}")


def _names(path: Path) -> list[str]:
    """Of a list's pictures, such as "n02085620-Chihuahua/n02085620_5927.jpg"."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise missing("scipy", f"reading {path}") from error
    try:
        found: Any = loadmat(path, squeeze_me=True)["file_list"]
        names = [str(name) for name in np.atleast_1d(found)]
    except Exception as error:  # a damaged file makes SciPy raise many kinds
        raise ValueError(f"{path}: can't be read as a list of Stanford Dogs: {error}") from error
    wrong = [name for name in names if not re.fullmatch(r"[^/\\]+/[^/\\]+", name)]
    if wrong or not names:
        raise ValueError(
            f"{path}: file_list holds {some_names(wrong) or 'nothing'}; "
            "expected names such as n02085620-Chihuahua/n02085620_5927.jpg"
        )
    return names


def _pictures(images: Path, names: list[str], folders: list[str]) -> Pictures:
    # One listing a folder is far quicker than asking for each of 20,580 files.
    there = {
        f"{folder}/{path.name}"
        for folder in folders
        if (images / folder).is_dir()
        for path in (images / folder).iterdir()
    }
    lacking = [name for name in names if name not in there]
    if lacking:
        raise FileNotFoundError(
            f"{images}: {len(lacking)} of {len(names)} pictures of the lists are not there "
            f"({some_names(lacking)})"
        )
    index = {folder: place for place, folder in enumerate(folders)}
    return Pictures(
        tuple(str(images / name) for name in names),
        np.array([index[name.partition("/")[0]] for name in names], np.int32),
        tuple(map(breed, folders)),
    )
