"""An image file to a model's input.

`load_image` gives the same bits as torchvision's evaluation transforms (`Resize` of the shorter
side, then `CenterCrop`, on a Pillow image), because published accuracies depend on them.
Importing this module needs only NumPy and Pillow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from keras_effnets.images.model_interface import preprocessing_layer
from keras_effnets.images.preset import Preset
from keras_effnets.images.reading import MAX_PIXELS, ImageSource, name_of, read_rgb

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def load_image(source: ImageSource, preset: Preset) -> NDArray[np.float32]:
    """Reads an image and resizes and crops it as a preset says.

    The shorter side is resized to `preset.resize`, then the centre is cropped, with a black
    border where the image is smaller than the crop. For 8-bit RGB images the result equals
    torchvision's `Resize` and `CenterCrop` bit for bit. `read_rgb` describes how colour modes and
    orientation are handled.

    Args:
        source: A file's path, or the bytes of a file.
        preset: Gives the two sizes and the interpolation.

    Returns:
        (crop, crop, 3), RGB pixels, 0–255.

    Raises:
        OSError: The file can't be opened, for instance because it does not exist.
        ValueError: The file is not an image, is broken or truncated, or has more than
            `MAX_PIXELS` pixels as stored or, being very narrow, once resized.
    """
    return fit_image(read_rgb(source), preset, name_of(source))


def fit_image(image: Image.Image, preset: Preset, name: str = "image") -> NDArray[np.float32]:
    """Resizes and crops an image as `load_image` does.

    Args:
        image: In mode "RGB".
        preset: Gives the two sizes and the interpolation.
        name: The image's name in error messages.

    Returns:
        (crop, crop, 3), RGB pixels, 0–255.

    Raises:
        ValueError: The image is so narrow that it would have more than `MAX_PIXELS` pixels once
            resized.
    """
    width, height = image.size
    short, long = sorted(image.size)
    resized_long = int(preset.resize * long / short)
    if preset.resize * resized_long > MAX_PIXELS:
        raise ValueError(
            f"{name}: {width} x {height} pixels are too narrow: resized to a shorter side of "
            f"{preset.resize}, the image would have more than {MAX_PIXELS} pixels"
        )
    size = (preset.resize, resized_long) if width <= height else (resized_long, preset.resize)
    if size != image.size:
        image = image.resize(size, _RESAMPLING[preset.interpolation])
    left, top = (_crop_start(side, preset.crop) for side in size)
    # Pillow fills the part of a crop that lies outside the image with 0.
    image = image.crop((left, top, left + preset.crop, top + preset.crop))
    return np.asarray(image, dtype=np.float32)


def preprocess_input(x: ArrayLike, model: Any) -> NDArray[np.float32]:
    """Prepares pixels for a model, leaving out the steps that the model does itself.

    A model built with `include_preprocessing=True` normalises in its first layer and gets the
    pixels unchanged. For other models they are normalised here, by the preset in the model's
    "preprocessing" layer.

    Args:
        x: (H, W, 3) or (B, H, W, 3), RGB pixels, 0–255, of any integer or float type.
            Never changed.
        model: A model with a layer named "preprocessing".

    Returns:
        A new array of x's shape.

    Raises:
        ValueError: `x` has another shape or type, or the model has no such layer.
    """
    pixels = np.asarray(x)
    # bool casts to float too, but 0 and 1 are not pixels.
    if pixels.dtype == bool or not np.can_cast(pixels.dtype, np.float32, "same_kind"):
        raise ValueError(f"x has type {pixels.dtype}: expected integers or floats")
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise ValueError(f"x has shape {pixels.shape}: expected (H, W, 3) or (B, H, W, 3)")
    layer = preprocessing_layer(model)
    result = np.array(pixels, dtype=np.float32)
    return result if layer.normalize else normalized(result, layer.preset)


def normalized(pixels: Any, preset: Preset) -> Any:
    """Normalises RGB pixels by a preset.

    Args:
        pixels: (..., 3), 0–255, float32, a NumPy array or a TensorFlow tensor.
        preset: Gives the mean and the standard deviation.
    """
    mean, std = (np.asarray(values, np.float32) for values in (preset.mean, preset.std))
    return (pixels - mean) / std


def _crop_start(side: int, crop: int) -> int:
    """Returns where the centre crop of one side starts, negative where it needs a border.

    torchvision rounds the two cases differently: a border gets its odd pixel at the end, a
    crop's start is rounded half to even.
    """
    return -((crop - side) // 2) if crop > side else round((side - crop) / 2)
