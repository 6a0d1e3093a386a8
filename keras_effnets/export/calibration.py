"""Real images to calibrate an int8 model with, and labelled ones to test it on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.export.frozen_graph import image_shape
from keras_effnets.images.folders import (
    LabelledImage,
    StrPath,
    find_images,
    find_labelled_images,
    spread,
)
from keras_effnets.images.model_interface import model_labels, model_preset
from keras_effnets.images.preprocessing import load_image, preprocess_input

CalibrationImages: TypeAlias = StrPath | Sequence[StrPath] | NDArray[Any]
"""A folder, files, or an array (B, H, W, C) of pixels 0-255."""
LabelledImages: TypeAlias = StrPath | Sequence[LabelledImage]
"""A folder as for `find_labelled_images`, or images with their classes."""


def calibration_images(
    model: keras.Model, calibration: CalibrationImages | None, most: int
) -> NDArray[Any]:
    """Prepares at most `most` images for a model, spread evenly over those given.

    Returns:
        (B, H, W, C), the model's input.

    Raises:
        ValueError: There are no images, one is broken, or they have another shape.
        FileNotFoundError: The folder or a file does not exist.
    """
    if calibration is None:
        raise ValueError(
            "calibration=None: int8 needs real images to choose its ranges from: a folder, a list "
            "of files or an array (B, H, W, C) of pixels 0-255; a hundred images are enough"
        )
    if isinstance(calibration, np.ndarray):
        shape = image_shape(model)
        if calibration.ndim != 4 or calibration.shape[1:] != shape or not len(calibration):
            raise ValueError(f"calibration has shape {calibration.shape}: expected (B, {shape})")
        return prepared(model, np.stack(spread(list(calibration), most)))
    paths = [calibration] if isinstance(calibration, str | os.PathLike) else calibration
    found = spread(find_images(paths), most)
    if not found:
        raise ValueError("calibration=[]: int8 needs images to choose its ranges from")
    preset = model_preset(model)
    return prepared(model, np.stack([load_image(path, preset) for path in found]))


def labelled_images(
    model: keras.Model, labelled: LabelledImages
) -> Iterator[tuple[NDArray[Any], int]]:
    """Prepares labelled images for a model, one at a time when they are needed.

    Returns:
        Pairs of the model's input, (H, W, C), and the class.

    Raises:
        ValueError: There are no images, or one is broken or has an unknown class.
        FileNotFoundError: The folder or a file does not exist.
    """
    preset = model_preset(model)
    if isinstance(labelled, str | os.PathLike):
        classes, labels = model.output_shape[-1], model_labels(model)
        labelled = find_labelled_images(labelled, classes, labels).images
    if not labelled:
        raise ValueError("labelled=[]: there are no images to test the model on")
    return ((prepared(model, load_image(path, preset)), target) for path, target in labelled)


def prepared(model: keras.Model, pixels: NDArray[Any]) -> NDArray[Any]:
    """Prepares pixels for a model; a model without a preset gets them as they are."""
    if any(layer.name == "preprocessing" for layer in model.layers):
        return preprocess_input(pixels, model)
    return np.asarray(pixels, np.float32)
