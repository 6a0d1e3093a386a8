"""Stanford Dogs, from the official archives or through TensorFlow Datasets."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_effnets.data.class_folder import class_folders
from keras_effnets.data.labelled import Pictures, Splits
from keras_effnets.images.folders import StrPath, existing_folder, some_names
from keras_effnets.weights.cache import home

_HOMEPAGE = "http://vision.stanford.edu/aditya86/ImageNetDogs/"
_IMAGES, _TRAIN_LIST, _TEST_LIST = "Images", "train_list.mat", "test_list.mat"
_WORDNET_ID = re.compile(r"^n\d{8}-")
_FILE_NAME = re.compile(r"n\d{8}_\d+\.jpg")


def stanford_dogs(folder: StrPath | None = None) -> Splits:
    """Finds Stanford Dogs: 120 breeds, 12,000 images for training and 8,580 for testing.

    Classes are named after the breeds, without the WordNet ids before them.

    Args:
        folder: The folder with the unpacked official archives: `Images`, with `train_list.mat`
            and `test_list.mat` beside it or in `lists`. If None, `tensorflow_datasets` downloads
            the data set, and its images are written once to the cache folder, undecoded.

    Raises:
        FileNotFoundError: If the folder, a list or an image is missing.
        ImportError: If SciPy (for the lists) or `tensorflow_datasets` is not installed.
        OSError: If `tensorflow_datasets` cannot prepare the data set, or images cannot be written.
        ValueError: If a list is damaged, or the lists' classes differ.
    """
    return _from_tfds() if folder is None else _from_archives(folder)


def is_dogs_archive(folder: StrPath) -> bool:
    """Whether the folder looks like the unpacked archives."""
    root = Path(folder).expanduser()
    places = _list_places(root, _TRAIN_LIST)
    return (root / _IMAGES).is_dir() and any(path.is_file() for path in places)


def _from_archives(folder: StrPath) -> Splits:
    root = existing_folder(folder)
    images = existing_folder(root / _IMAGES)
    train, test = (_listed_names(root, name) for name in (_TRAIN_LIST, _TEST_LIST))
    folders, test_folders = ({name.partition("/")[0] for name in part} for part in (train, test))
    if unpaired := sorted(folders ^ test_folders):
        raise ValueError(f"{root}: {some_names(unpaired)} in only one of train_list and test_list")
    train_images, test_images = (
        _listed_images(images, names, sorted(folders)) for names in (train, test)
    )
    return Splits(train_images, test=test_images)


def _list_places(root: Path, name: str) -> tuple[Path, Path]:
    return root / "lists" / name, root / name


def _listed_names(root: Path, name: str) -> list[str]:
    """Reads a list of images, such as "n02085620-Chihuahua/n02085620_5927.jpg"."""
    places = _list_places(root, name)
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{places[0]}: there is no such file, and none beside {_IMAGES}")
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise _not_installed("scipy", f"reading {path}") from error
    try:
        found: Any = loadmat(path, squeeze_me=True)["file_list"]
        names = [str(name) for name in np.atleast_1d(found)]
    except Exception as error:  # SciPy raises many types for a damaged file
        raise ValueError(f"{path}: can't be read as a list of Stanford Dogs: {error}") from error
    wrong = [name for name in names if not re.fullmatch(r"[^/\\]+/[^/\\]+", name)]
    if wrong or not names:
        raise ValueError(
            f"{path}: file_list holds {some_names(wrong) or 'nothing'}; "
            "expected names such as n02085620-Chihuahua/n02085620_5927.jpg"
        )
    return names


def _listed_images(images: Path, names: list[str], folders: list[str]) -> Pictures:
    # Listing each folder once is far quicker than checking 20,580 files one by one.
    present = {
        f"{folder}/{path.name}"
        for folder in folders
        if (images / folder).is_dir()
        for path in (images / folder).iterdir()
    }
    missing = [name for name in names if name not in present]
    if missing:
        raise FileNotFoundError(
            f"{images}: {len(missing)} of {len(names)} listed images are missing "
            f"({some_names(missing)})"
        )
    index = {folder: place for place, folder in enumerate(folders)}
    return Pictures(
        tuple(str(images / name) for name in names),
        np.array([index[name.partition("/")[0]] for name in names], np.int32),
        tuple(map(_breed, folders)),
    )


def _from_tfds() -> Splits:
    version, datasets, names = _tfds_datasets()
    # The counts keep a smaller data set (a test's, for example) apart from the whole one.
    counts = "-".join(str(len(dataset)) for dataset in datasets.values())
    folder = home() / "data" / f"stanford_dogs-{version}-{counts}"
    if not folder.is_dir():
        _write_class_folders(folder, datasets, names)
    splits = class_folders(folder, classes=names)
    breeds = {
        part: Pictures(pictures.paths, pictures.targets, tuple(map(_breed, pictures.classes)))
        for part, pictures in splits.parts()
    }
    return Splits(**breeds)


def _tfds_datasets() -> tuple[str, dict[str, Any], list[str]]:
    """The version, the undecoded examples by part, and the class names."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise _not_installed("tensorflow_datasets", "stanford_dogs without a folder") from error
    try:
        builder = tfds.builder("stanford_dogs")
        builder.download_and_prepare()
        decoders = tfds.decode.PartialDecoding(
            {"image": True, "image/filename": True, "label": True},
            decoders={"image": tfds.decode.SkipDecoding()},
        )
        datasets = {
            part: builder.as_dataset(split=part, decoders=decoders, shuffle_files=False)
            for part in ("train", "test")
        }
    except Exception as error:  # network, disk and TensorFlow Datasets have no common type
        raise OSError(
            f"tensorflow_datasets cannot prepare stanford_dogs: {str(error) or repr(error)}; "
            f"unpack images.tar and lists.tar from {_HOMEPAGE} and give their folder instead"
        ) from error
    return str(builder.version), datasets, list(builder.info.features["label"].names)


def _write_class_folders(folder: Path, datasets: dict[str, Any], names: list[str]) -> None:
    """Writes all images as class folders; on failure, writes nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for part, dataset in datasets.items():
            for name in names:
                (partial / part / name).mkdir(parents=True)
            for index, example in enumerate(dataset.as_numpy_iterator()):
                given = os.path.basename(example["image/filename"].decode("utf-8", "replace"))
                file = given if _FILE_NAME.fullmatch(given) else f"{index:05}.jpg"
                (partial / part / names[example["label"]] / file).write_bytes(example["image"])
        try:
            os.rename(partial, folder)
        except OSError:
            # Another process may have written the same images first.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _breed(folder_name: str) -> str:
    """The class of a folder: "Chihuahua" for "n02085620-Chihuahua"."""
    return _WORDNET_ID.sub("", folder_name)


def _not_installed(module: str, what: str) -> ImportError:
    return ImportError(f"{what} needs {module}: pip install 'keras_effnets[dogs]'", name=module)
