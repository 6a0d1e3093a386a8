"""From a picture's file to what a model takes, and from its outputs to names.

`load_image` gives the same bits as torchvision's evaluation transforms (`Resize` with one
side, then `CenterCrop`, on a Pillow image), because published accuracies depend on them.
Importing this module needs NumPy and Pillow only.
"""

from __future__ import annotations

import functools
import io
import operator
import os
from collections.abc import Sequence
from importlib import resources
from typing import IO, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import ExifTags, Image

from keras_effnets.preset import Preset

Source: TypeAlias = str | os.PathLike[str] | bytes

MAX_PIXELS = 2**27
"""Pictures of more pixels (134 million, three bytes each) are refused before decoding."""

# Pillow's other readers are left out on purpose: some run outside programs (EPS) and some
# decode before they tell the size.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

# What to do with the stored picture so that it stands upright, by EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
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
    return fit_image(read_rgb(source), preset, _name(source))


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


def read_rgb(source: Source) -> Image.Image:
    """Reads a picture of any colour mode as upright 8-bit RGB, at its own size.

    - The EXIF orientation is applied; unreadable EXIF data is ignored.
    - Of an animation or a file with pages, the first picture is taken.
    - Transparent pixels are composited over white.
    - 16-bit pictures keep their high byte. A 32-bit integer picture is taken as 16-bit where
      its values are within 0–65535, else its range is stretched to 0–255.
    - A float picture is taken as 0–1 where its values are within that, else as 0–255 where
      they are within that, else its range is stretched to 0–255.
    - CMYK is converted without its colour profile.

    Args:
        source: A file's path, or the bytes of a file: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM,
            JPEG 2000 or AVIF.

    Returns:
        A Pillow image of mode "RGB", which holds no file open.

    Raises:
        OSError: The file can't be opened, for instance because there is none.
        ValueError: The file is no picture, is broken or truncated, or has more than
            `MAX_PIXELS` pixels.
    """
    with _stream(source) as stream:
        try:
            image = _open(stream)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels, at most {MAX_PIXELS} are allowed")
            image.load()
            # Read after loading: PNG may store EXIF data behind the pixels, and TIFF pictures
            # are turned by Pillow while they load.
            transpose = _UPRIGHT.get(_orientation(image))
            rgb = _to_rgb(image)
        # Broken files make Pillow's decoders raise nearly everything there is.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(f"{_name(source)}: can't be read as a picture: {reason}") from error
    return rgb if transpose is None else rgb.transpose(transpose)


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


class Prediction(NamedTuple):
    """One class that a model names for a picture.

    Attributes:
        id: The WordNet id ("n01440764") of an ImageNet class, else the same as `name`.
        name: The class in words.
        score: The model's output for it: a probability, if the model ends in a softmax.
    """

    id: str
    name: str
    score: float


def decode_predictions(
    predictions: ArrayLike, top: int = 5, labels: Sequence[str] | None = None
) -> list[list[Prediction]]:
    """Names the classes with the highest scores.

    Args:
        predictions: (B, classes), one row a picture.
        top: How many classes to name for each picture.
        labels: The names in class order. Without them 1000 classes are taken for ImageNet's,
            and other classes are called by their index ("0", "1", …).

    Returns:
        For each picture, `top` predictions by falling score; equal scores by class index.

    Raises:
        ValueError: `predictions` has another number of dimensions or isn't numeric, `top` is
            not within 1–classes, or there is not one label a class.
    """
    scores = np.asarray(predictions)
    if scores.ndim != 2:
        raise ValueError(f"predictions has shape {scores.shape}: expected (B, classes)")
    if not np.can_cast(scores.dtype, np.float64, "same_kind"):
        raise ValueError(f"predictions has type {scores.dtype}: expected numbers")
    scores = scores.astype(np.float64)
    classes = scores.shape[1]
    try:
        count = operator.index(top)
    except TypeError:
        count = 0
    if not 1 <= count <= classes:
        raise ValueError(f"top={top!r}: expected an integer from 1 to {classes}, the classes")

    known: Sequence[tuple[str, str]]
    if labels is not None:
        # A string is a sequence of names too, but nobody means that.
        if isinstance(labels, str) or len(labels) != classes:
            given = repr(labels) if isinstance(labels, str) else f"{len(labels)} names"
            raise ValueError(f"labels: {given}, expected {classes} names, one a class")
        known = [(str(name), str(name)) for name in labels]
    elif classes == 1000:
        known = imagenet_classes()
    else:
        known = [(str(index), str(index)) for index in range(classes)]
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return [
        [Prediction(known[index][0], known[index][1], float(row[index])) for index in order]
        for row, order in zip(scores, best, strict=True)
    ]


@functools.cache
def imagenet_classes() -> tuple[tuple[str, str], ...]:
    """Returns the 1000 ImageNet classes in the order of the outputs: (WordNet id, name)."""
    text = resources.files("keras_effnets").joinpath("imagenet_classes.txt").read_text("utf-8")
    pairs = (line.split(" ", 1) for line in text.splitlines())
    return tuple((wordnet_id, name) for wordnet_id, name in pairs)


def _name(source: Source) -> str:
    """Returns what error messages call a source."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else os.fspath(source)


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


def _stream(source: Source) -> IO[bytes]:
    """Opens a source."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    # os.fspath refuses the integers that open would take for file descriptors.
    return open(os.fspath(source), "rb")


def _open(stream: IO[bytes]) -> Image.Image:
    """Reads a picture's header; no pixel is decoded.

    This is `PIL.Image.open` without its check for decompression bombs: that check warns on
    pictures that we allow, and neither its limit nor the filter of warnings can be changed for
    one thread alone. `MAX_PIXELS` takes its place. One check stays, inside Pillow's GIF reader,
    for a frame of more than 89 million pixels that is larger than its own screen.
    """
    Image.init()
    prefix = stream.read(16)
    if not prefix:
        raise ValueError("the file is empty")
    reason = f"not one of {', '.join(_FORMATS)}"
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        # A plugin whose library is missing answers with the reason, a string.
        accepted = accept(prefix) if accept else False
        if isinstance(accepted, str):
            reason = accepted
        elif accepted and factory:
            stream.seek(0)
            return factory(stream, "")
    raise ValueError(reason)


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 (upright) where there is none or it can't be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    # A picture with broken EXIF data is still a picture, and Pillow raises many kinds here.
    except Exception:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts a loaded picture of any mode to "RGB"."""
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow's own conversion clips these at 255.
        image = Image.fromarray(_to_uint8(np.asarray(image)))
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scales grey values of 16 or 32 bits, or of floats, to 0–255."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise ValueError("it has pixels that are infinite or no number")
    if values.dtype.kind != "f" and low >= 0 and high <= 65535:
        # The high byte undoes both usual ways from 8 to 16 bits, × 256 and × 257, and is what
        # Pillow takes of 16-bit RGB.
        return (values >> 8).astype(np.uint8)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    # A picture of one single value outside 0–255 has no range to stretch, and becomes black.
    scale = 255 / (high - low) if high > low else 0.0
    return np.rint((values.astype(np.float64) - low) * scale).astype(np.uint8)


def _crop_start(side: int, crop: int) -> int:
    """Returns where the centre crop of one side starts, negative where it needs a border.

    torchvision rounds the two cases differently: a border gets its odd pixel at the end, a
    crop's start is rounded half to even.
    """
    return -((crop - side) // 2) if crop > side else round((side - crop) / 2)
