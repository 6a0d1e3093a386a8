"""Opening a data set by its folder or by its name."""

from __future__ import annotations

from pathlib import Path

from keras_effnets.data.class_folder import class_folders
from keras_effnets.data.labelled import Splits
from keras_effnets.data.stanford_dogs import is_dogs_archive, stanford_dogs
from keras_effnets.images.folders import StrPath


def open_data(path_or_name: StrPath) -> Splits:
    """Finds the images of a folder or of a named data set.

    Args:
        path_or_name: A folder of class folders or with the Stanford Dogs archives;
            "stanford_dogs" without a folder of that name is the data set.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ImportError: As `stanford_dogs`.
        OSError: As `stanford_dogs`.
        ValueError: As `stanford_dogs` or `class_folders`.
    """
    if str(path_or_name) == "stanford_dogs" and not Path(path_or_name).is_dir():
        return stanford_dogs()
    if is_dogs_archive(path_or_name):
        return stanford_dogs(path_or_name)
    return class_folders(path_or_name)
