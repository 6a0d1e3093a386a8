"""Labelled pictures for training: finding, checking, dividing, and feeding them to a model."""

from keras_effnets.data.augmentation import AUGMENTATIONS, check_augmentations
from keras_effnets.data.batching import batches
from keras_effnets.data.checking import warnings_of
from keras_effnets.data.class_folder import class_folders
from keras_effnets.data.labelled import Pictures, Splits
from keras_effnets.data.scanning import Broken, scan
from keras_effnets.data.sources import open_data, stanford_dogs
from keras_effnets.data.splitting import folds, split

__all__ = [
    "AUGMENTATIONS",
    "Broken",
    "Pictures",
    "Splits",
    "batches",
    "check_augmentations",
    "class_folders",
    "folds",
    "open_data",
    "scan",
    "split",
    "stanford_dogs",
    "warnings_of",
]
