"""The maps inside a network: which layers give some, and what they are for a picture."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_effnets.images.preprocessing import load_image, preprocess_input
from keras_effnets.models.surgery.anatomy import Anatomy, dissect

Picture: TypeAlias = str | os.PathLike[str] | bytes | ArrayLike
"""A file, the bytes of one, or an array (H, W, 3) of RGB pixels, 0-255."""


def feature_maps(model: keras.Model, image: Picture, layer: str) -> NDArray[np.float32]:
    """What a layer gives for a picture.

    Args:
        model: One of ours.
        image: A file or its bytes, which the model's preset prepares; or pixels, taken as they are.
        layer: The name of a layer of the body that gives maps.

    Returns:
        (H, W, C).

    Raises:
        OSError: The file can't be opened.
        ValueError: For a layer that gives no map, a picture that can't be read or does not fit,
            or a model that is none of ours.
    """
    name = map_layer(dissect(model), layer)
    pixels = preprocess_input(pixels_for(model, image), model)
    maps = keras.Model(model.input, model.get_layer(name).output)(pixels[None], training=False)
    return np.asarray(keras.ops.convert_to_numpy(maps), np.float32)[0]


def map_layer(anatomy: Anatomy, layer: str | None) -> str:
    """The layer of that name; by default the last with weights that gives a map.

    So the pools before the dense layers of AlexNet, ZFNet and VGG are passed over: their maps are
    those of the last convolution, coarser.

    Raises:
        ValueError: If it gives no map.
    """
    if layer is None:
        return [block.name for block in anatomy.blocks if block.name in anatomy.levels][-1]
    if layer not in anatomy.levels:
        raise ValueError(f"layer={layer!r} gives no map: expected {', '.join(anatomy.levels)}")
    return layer


def pixels_for(model: Any, image: Picture) -> NDArray[np.float32]:
    """A picture as the model wants it, (H, W, 3), pixels 0-255.

    Raises:
        OSError: The file can't be opened.
        ValueError: It can't be read, or has another shape than the model takes.
    """
    if isinstance(image, str | bytes | os.PathLike):
        pixels = load_image(image, model.get_layer("preprocessing").preset)
    else:
        pixels = np.asarray(image, np.float32)
    wanted = tuple(model.input_shape[1:])
    fits = pixels.ndim == 3 and all(
        side in (None, own) for side, own in zip(wanted, pixels.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"image has shape {pixels.shape}, and {model.name} takes {wanted}")
    return pixels
