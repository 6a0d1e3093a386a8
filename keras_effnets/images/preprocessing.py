"""From a picture to what a model takes.

`load_image` gives the same bits as torchvision's evaluation transforms (`Resize` with one
side, then `CenterCrop`, on a Pillow image), because published accuracies depend on them.
Importing this module needs NumPy and Pillow only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from keras_effnets.images.preset import Preset
from keras_effnets.images.reading import MAX_PIXELS, Source, name_of, read_rgb

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def load_image(source: Source, preset: Preset) -> NDArray[np.float32]:
    """Reads a picture as a model of this preset wants it.

    The shorter side is resized to `preset.resize`, then the centre is cropped, with a
    black border where the picture is smaller than the crop. On 8-bit RGB pictures the
    result equals torchvision's `Resize` and `CenterCrop` bit for bit. What `read_rgb` says
    about colour modes and orientation holds here too.

    Args:
        source: A file's path, or the bytes of a file.
        preset: The sides and the interpolation to use.

    Returns:
        (crop, crop, 3), RGB pixels, 0–255.

    Raises:
        OSError: The file can't be opened, for instance because there is none.
        ValueError: The file is no picture, is broken or truncated, has more than `MAX_PIXELS`
            pixels, or is so narrow that it would have once resized.
    """
    return fit_image(read_rgb(source), preset, name_of(source))


def fit_image(image: Image.Image, preset: Preset, name: str = "picture") -> NDArray[np.float32]:
    """Resizes and crops a picture as `load_image` does.

    Args:
        image: Of mode "RGB".
        preset: The sides and the interpolation to use.
        name: What an error calls it.

    Returns:
        (crop, crop, 3), RGB pixels, 0–255.

    Raises:
        ValueError: If it is so narrow that it would have more than `MAX_PIXELS` once resized.
    """
    width, height = image.size
    short, long = sorted(image.size)
    resized_long = int(preset.resize * long / short)
    if preset.resize * resized_long > MAX_PIXELS:
        raise ValueError(
            f"{name}: {width} x {height} pixels are too narrow: with a shorter side of "
            f"{preset.resize} they become more than {MAX_PIXELS}"
        )
    size = (preset.resize, resized_long) if width <= height else (resized_long, preset.resize)
    if size != image.size:
        image = image.resize(size, _RESAMPLING[preset.interpolation])
    left, top = (_crop_start(side, preset.crop) for side in size)
    # Pillow fills with 0 what a crop takes from outside the picture.
    image = image.crop((left, top, left + preset.crop, top + preset.crop))
    return np.asarray(image, dtype=np.float32)


def preprocess_input(x: ArrayLike, model: Any) -> NDArray[np.float32]:
    """Does to pixels what the model doesn't do itself.

    A model that was built with `include_preprocessing=True` normalises in its first layer,
    and gets the pixels unchanged; for others they are normalised here, by the preset that
    the model's "preprocessing" layer holds.

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
    # bool casts to float too, but 0 and 1 are no pixels.
    if pixels.dtype == bool or not np.can_cast(pixels.dtype, np.float32, "same_kind"):
        raise ValueError(f"x has type {pixels.dtype}: expected integers or floats")
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise ValueError(f"x has shape {pixels.shape}: expected (H, W, 3) or (B, H, W, 3)")
    preset, normalize = _model_preset(model)
    result = np.array(pixels, dtype=np.float32)
    if not normalize:
        result -= np.asarray(preset.mean, dtype=np.float32)
        result /= np.asarray(preset.std, dtype=np.float32)
    return result


def _model_preset(model: Any) -> tuple[Preset, bool]:
    """Returns what a model's "preprocessing" layer holds: its preset, and whether it applies it."""
    try:
        layer = model.get_layer("preprocessing")
        preset, normalize = layer.preset, layer.normalize
        if not isinstance(preset, Preset):
            raise ValueError(f"its preset is {preset!r}")
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"model={getattr(model, 'name', model)!r}: expected a model with a layer named "
            '"preprocessing" that holds a preset, as the builders of this package make'
        ) from error
    return preset, bool(normalize)


def _crop_start(side: int, crop: int) -> int:
    """Returns where the centre crop of one side starts, negative where it needs a border.

    torchvision rounds the two cases differently: a border gets its odd pixel at the end, a
    crop's start is rounded half to even.
    """
    return -((crop - side) // 2) if crop > side else round((side - crop) / 2)
