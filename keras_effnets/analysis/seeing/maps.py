"""Feature maps: the layers that have them, and their values for an image."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_effnets.images.preprocessing import load_image, preprocess_input
from keras_effnets.models.surgery.anatomy import Anatomy, dissect

ImageSource: TypeAlias = str | os.PathLike[str] | bytes | ArrayLike
"""A file, its bytes, or an array (H, W, 3) of RGB pixels, 0-255."""


def feature_maps(model: keras.Model, image: ImageSource, layer: str) -> NDArray[np.float32]:
    """Returns a layer's output for an image.

    Args:
        model: A network of keras_effnets.
        image: A file or its bytes, prepared by the model's preset; or pixels, used as they are.
        layer: Name of a layer of the body whose output is maps.

    Returns:
        (H, W, C).

    Raises:
        OSError: The file can't be opened.
        ValueError: The layer has no maps, the image can't be read or does not fit, or the model
            was not built here.
    """
    name = map_layer(dissect(model), layer)
    pixels = preprocess_input(pixels_for(model, image), model)
    maps = keras.Model(model.input, model.get_layer(name).output)(pixels[None], training=False)
    return np.asarray(keras.ops.convert_to_numpy(maps), np.float32)[0]


def map_layer(anatomy: Anatomy, layer: str | None) -> str:
    """Returns `layer` if it has maps; for None the last layer with weights that has maps.

    The default skips the pools before the dense layers of AlexNet, ZFNet and VGG: their maps are
    those of the last convolution, coarser.

    Raises:
        ValueError: The layer has no maps.
    """
    if layer is None:
        return [block.name for block in anatomy.blocks if block.name in anatomy.levels][-1]
    if layer not in anatomy.levels:
        raise ValueError(
            f"layer={layer!r} has no feature maps: expected one of {', '.join(anatomy.levels)}"
        )
    return layer


def pixels_for(model: Any, image: ImageSource) -> NDArray[np.float32]:
    """Returns an image as `model` takes it, (H, W, 3), pixels 0-255.

    Raises:
        OSError: The file can't be opened.
        ValueError: The image can't be read, or has a shape that the model does not take.
    """
    if isinstance(image, str | bytes | os.PathLike):
        pixels = load_image(image, model.get_layer("preprocessing").preset)
    else:
        pixels = np.asarray(image, np.float32)
    expected = tuple(model.input_shape[1:])
    fits = pixels.ndim == 3 and all(
        side in (None, own) for side, own in zip(expected, pixels.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"image has shape {pixels.shape}: {model.name!r} takes {expected}")
    return pixels
