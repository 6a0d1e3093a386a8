"""Real pictures, to choose an int8 model's ranges by."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.export.frozen_graph import picture_shape
from keras_effnets.export.parity import Array
from keras_effnets.images.folders import (
    LabelledPicture,
    find_labelled_pictures,
    find_pictures,
    spread,
)
from keras_effnets.images.preprocessing import load_image, preprocess_input
from keras_effnets.prediction.evaluation import model_labels, model_preset

Pictures: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | NDArray[Any]
"""A folder, files, or an array (B, H, W, C) of pixels 0-255."""
Labelled: TypeAlias = str | os.PathLike[str] | Sequence[LabelledPicture]
"""A folder as `find_labelled_pictures` takes it, or pictures with their classes."""


def calibration_pictures(model: keras.Model, calibration: Pictures | None, most: int) -> Array:
    """Pictures as the model takes them: at most so many, spread evenly over those given.

    Raises:
        ValueError: If there are none, one of them is broken, or they are of another shape.
        FileNotFoundError: If there is no such folder or file.
    """
    if calibration is None:
        raise ValueError(
            "calibration=None: int8 needs real pictures to choose its ranges by, a folder, a list "
            "of files or an array (B, H, W, C) of pixels 0-255; a hundred do"
        )
    if isinstance(calibration, np.ndarray):
        shape = picture_shape(model)
        if calibration.ndim != 4 or calibration.shape[1:] != shape or not len(calibration):
            raise ValueError(f"calibration has shape {calibration.shape}: expected (B, {shape})")
        return prepared(model, np.stack(spread(list(calibration), most)))
    paths = [calibration] if isinstance(calibration, str | os.PathLike) else calibration
    found = spread(find_pictures(paths), most)
    if not found:
        raise ValueError("calibration=[]: int8 needs pictures to choose its ranges by")
    preset = model_preset(model)
    return prepared(model, np.stack([load_image(path, preset) for path in found]))


def labelled_pictures(model: keras.Model, labelled: Labelled) -> Iterator[tuple[Array, int]]:
    """Pictures as the model takes them, (H, W, C), each with its class, read when asked for.

    Raises:
        ValueError: If there are none, or one is broken or of an unknown class.
        FileNotFoundError: If there is no such folder or file.
    """
    preset = model_preset(model)
    if isinstance(labelled, str | os.PathLike):
        classes, labels = model.output_shape[-1], model_labels(model)
        labelled = find_labelled_pictures(labelled, classes, labels).pictures
    if not labelled:
        raise ValueError("labelled=[]: there are no pictures to try the model on")
    return ((prepared(model, load_image(path, preset)), target) for path, target in labelled)


def prepared(model: keras.Model, pixels: NDArray[Any]) -> Array:
    """As the model takes them; whoever gives an array to a model that says nothing knows best."""
    if any(layer.name == "preprocessing" for layer in model.layers):
        return preprocess_input(pixels, model)
    return np.asarray(pixels, np.float32)
