"""Decodes, resizes and crops images as a preset says, inside a TensorFlow graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_effnets.export.serving.orientation import exif_orientation, upright
from keras_effnets.images.preset import Preset
from keras_effnets.images.reading import MAX_PIXELS

_METHODS = {
    "bilinear": tf.image.ResizeMethod.BILINEAR,
    "bicubic": tf.image.ResizeMethod.BICUBIC,
    "lanczos": tf.image.ResizeMethod.LANCZOS3,
}


def prepared_image(encoded: Any, preset: Preset) -> Any:
    """Prepares a file's bytes like `load_image`, to within one of 255 grey levels on average.

    Args:
        encoded: A scalar string, the bytes of a JPEG, PNG, GIF, BMP or WebP file.
        preset: Gives the two sizes and the interpolation.

    Returns:
        (crop, crop, 3), float32, RGB pixels 0-255.

    Raises:
        tf.errors.InvalidArgumentError: When the graph runs: the file is not an image, is
            truncated, or is so narrow that it would have more than `MAX_PIXELS` pixels once
            resized.
    """
    image = tf.cast(_upright_rgb(encoded), tf.float32)
    image = _resized(image, preset)
    image.set_shape((None, None, 3))
    return _cropped(image, preset.crop)


def _upright_rgb(encoded: Any) -> Any:
    """Decodes to (H, W, 3), uint8."""
    is_jpeg = tf.io.is_jpeg(encoded)
    image = tf.cond(
        is_jpeg,
        # As in Pillow; the default is a faster transform that is some levels off.
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: _over_white(tf.io.decode_image(encoded, expand_animations=False)),
    )
    orientation = tf.cond(
        is_jpeg, lambda: exif_orientation(encoded), lambda: tf.constant(1, tf.int32)
    )
    return upright(image, orientation)


def _over_white(image: Any) -> Any:
    """Turns 1 to 4 channels (grey, grey and alpha, RGB, RGB and alpha) into RGB."""
    channels = tf.shape(image)[-1]
    has_alpha = tf.equal(channels % 2, 0)
    colours = tf.cond(has_alpha, lambda: image[..., :-1], lambda: image)
    colours = tf.cond(
        channels < 3, lambda: tf.repeat(colours[..., :1], 3, axis=-1), lambda: colours
    )

    def composited() -> Any:
        alpha = tf.cast(image[..., -1:], tf.float32) / 255
        mixed = alpha * tf.cast(colours, tf.float32) + (1 - alpha) * 255
        return tf.cast(tf.round(mixed), tf.uint8)

    return tf.cond(has_alpha, composited, lambda: colours)


def _resized(image: Any, preset: Preset) -> Any:
    """Resizes the shorter side to `preset.resize`; pixels are whole numbers, as in Pillow."""
    height, width = tf.unstack(tf.shape(image)[:2])
    short = tf.minimum(height, width)
    ratio = tf.cast(tf.maximum(height, width), tf.float64) / tf.cast(short, tf.float64)
    # Rounded as in load_image: resize · long is exact, and the quotient is rounded down.
    product = tf.cast(preset.resize * tf.maximum(height, width), tf.float64)
    long = tf.cast(product / tf.cast(short, tf.float64), tf.int32)
    narrow = tf.debugging.assert_less_equal(
        ratio * preset.resize**2,
        tf.constant(float(MAX_PIXELS), tf.float64),
        message=f"an image is too narrow: resized, it would have more than {MAX_PIXELS} pixels",
    )
    with tf.control_dependencies([narrow]):
        size = tf.where(
            height <= width, tf.stack([preset.resize, long]), tf.stack([long, preset.resize])
        )
    if preset.interpolation == "nearest":
        return _nearest(image, size)
    resized = tf.image.resize(image, size, _METHODS[preset.interpolation], antialias=True)
    return tf.clip_by_value(tf.round(resized), 0, 255)


def _nearest(image: Any, size: Any) -> Any:
    """Takes the pixel under each new pixel's centre, as Pillow does."""
    for axis in (0, 1):
        side, new = tf.shape(image)[axis], size[axis]
        scale = tf.cast(side, tf.float64) / tf.cast(new, tf.float64)
        steps = tf.concat([[scale / 2], tf.fill([new - 1], scale)], axis=0)
        centres = tf.cumsum(steps)  # summed as in Pillow, which decides ties
        image = tf.gather(image, tf.cast(centres, tf.int32), axis=axis)
    return image


def _cropped(image: Any, crop: int) -> Any:
    """Crops the centre, with a black border where the image is smaller, rounded as `load_image`."""
    sides = tf.shape(image)[:2]
    missing = tf.maximum(crop - sides, 0)
    before = missing // 2
    margins = tf.stack([before, missing - before], axis=1)
    image = tf.pad(image, tf.concat([margins, [[0, 0]]], axis=0))
    excess = tf.cast(tf.maximum(sides - crop, 0), tf.float32)
    top, left = tf.unstack(tf.cast(tf.round(excess / 2), tf.int32))
    image = image[top : top + crop, left : left + crop]
    image.set_shape((crop, crop, 3))
    return image
