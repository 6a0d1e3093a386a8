"""A data set by its folder or by its name."""

from __future__ import annotations

from pathlib import Path

from keras_effnets.data.class_folder import class_folders
from keras_effnets.data.dogs_tfds import dogs_tfds
from keras_effnets.data.labelled import Splits
from keras_effnets.data.stanford_dogs import dogs_archive, is_dogs_archive
from keras_effnets.images.folders import StrPath

STANFORD_DOGS = "stanford_dogs"


def stanford_dogs(folder: StrPath | None = None) -> Splits:
    """Finds Stanford Dogs: 120 breeds, 12,000 pictures to learn from and 8,580 to test with.

    Classes are called like the breeds, without the WordNet ids before them.

    Args:
        folder: Where the official archives are unpacked: `Images`, with `train_list.mat` and
            `test_list.mat` beside it or in `lists`. Without it `tensorflow_datasets` fetches the
            data set, and its pictures are written once under the cache folder.

    Raises:
        FileNotFoundError: If the folder, a list or a picture is not there.
        ImportError: If SciPy (for the lists) or `tensorflow_datasets` is not installed.
        OSError: If `tensorflow_datasets` cannot prepare the data set.
        ValueError: If a list is damaged.
    """
    return dogs_tfds() if folder is None else dogs_archive(folder)


def open_data(path_or_name: StrPath) -> Splits:
    """Finds the pictures of a folder or of a named data set.

    Args:
        path_or_name: A folder with the archives of Stanford Dogs, or of class folders; or, where
            there is no such folder, "stanford_dogs".

    Raises:
        FileNotFoundError: If there is no such folder.
        ImportError: As `stanford_dogs` does.
        OSError: As `stanford_dogs` does.
        ValueError: As `stanford_dogs` or `class_folders` does.
    """
    if str(path_or_name) == STANFORD_DOGS and not Path(path_or_name).is_dir():
        return stanford_dogs()
    if is_dogs_archive(path_or_name):
        return stanford_dogs(path_or_name)
    return class_folders(path_or_name)
