"""Labelled images for training: find them, check them, split them, and feed them to a model."""

from keras_effnets.data.augmentation import AUGMENTATIONS, check_augmentations
from keras_effnets.data.batching import batches
from keras_effnets.data.checking import Broken, scan, warnings_of
from keras_effnets.data.class_folder import class_folders
from keras_effnets.data.labelled import Pictures, Splits
from keras_effnets.data.sources import open_data
from keras_effnets.data.splitting import folds, split
from keras_effnets.data.stanford_dogs import stanford_dogs

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
