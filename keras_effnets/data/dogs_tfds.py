"""Stanford Dogs through TensorFlow Datasets, as files in the cache folder."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from keras_effnets.data.class_folder import class_folders
from keras_effnets.data.extras import missing
from keras_effnets.data.labelled import Pictures, Splits
from keras_effnets.data.stanford_dogs import breed
from keras_effnets.weights.cache import home

PAGE = "http://vision.stanford.edu/aditya86/ImageNetDogs/"
_FILE_NAME = re.compile(r"n\d{8}_\d+\.jpg")


def dogs_tfds() -> Splits:
    """Finds the pictures of `tensorflow_datasets`' "stanford_dogs", written out on first use.

    TensorFlow Datasets downloads and checks the archives where it has not yet. The pictures are
    then written once, undecoded, as class folders under the cache folder.

    Raises:
        ImportError: If `tensorflow_datasets` is not installed.
        OSError: If it cannot prepare the data set, or the pictures cannot be written.
    """
    version, datasets, names = _datasets()
    # The counts keep a smaller set (of tests, for example) apart from the whole one.
    counts = "-".join(str(len(dataset)) for dataset in datasets.values())
    folder = home() / "data" / f"stanford_dogs-{version}-{counts}"
    if not folder.is_dir():
        _write(folder, datasets, names)
    splits = class_folders(folder, classes=names)
    test = splits.test
    return Splits(_renamed(splits.train), test=None if test is None else _renamed(test))


def _datasets() -> tuple[str, dict[str, Any], list[str]]:
    """The version, the undecoded examples by part, and the names of the classes."""
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise missing("tensorflow_datasets", "stanford_dogs without a folder") from error
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
    except Exception as error:  # network, disk and TensorFlow Datasets: no common kind
        raise OSError(
            f"tensorflow_datasets cannot prepare stanford_dogs: {str(error) or repr(error)}; "
            f"unpack images.tar and lists.tar from {PAGE} and give their folder instead"
        ) from error
    return str(builder.version), datasets, list(builder.info.features["label"].names)


def _write(folder: Path, datasets: dict[str, Any], names: list[str]) -> None:
    """Writes the pictures as class folders: all of them, or no folder of that name."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    begun = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for part, dataset in datasets.items():
            for name in names:
                (begun / part / name).mkdir(parents=True)
            for index, example in enumerate(dataset.as_numpy_iterator()):
                given = os.path.basename(example["image/filename"].decode("utf-8", "replace"))
                file = given if _FILE_NAME.fullmatch(given) else f"{index:05}.jpg"
                (begun / part / names[example["label"]] / file).write_bytes(example["image"])
        try:
            os.rename(begun, folder)
        except OSError:
            # Another process may have been first, with the same pictures.
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(begun, ignore_errors=True)


def _renamed(pictures: Pictures) -> Pictures:
    return Pictures(pictures.paths, pictures.targets, tuple(map(breed, pictures.classes)))
