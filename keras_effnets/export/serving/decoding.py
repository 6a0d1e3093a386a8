"""Encoded pictures to what a preset wants, inside a TensorFlow graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_effnets.export.serving.orientation import exif_orientation, turned
from keras_effnets.images.preset import Preset

MAX_PIXELS = 2**27
"""A picture that would have more pixels once resized fails."""

_METHODS = {
    "bilinear": tf.image.ResizeMethod.BILINEAR,
    "bicubic": tf.image.ResizeMethod.BICUBIC,
    "lanczos": tf.image.ResizeMethod.LANCZOS3,
}


def prepared_picture(encoded: Any, preset: Preset) -> Any:
    """What `load_image` gives for a file's bytes, to a grey level of 255.

    Args:
        encoded: A scalar string, the bytes of a JPEG, PNG, GIF, BMP or WebP file.
        preset: The sides and the interpolation.

    Returns:
        (crop, crop, 3), float32, RGB pixels 0-255.

    Raises:
        tf.errors.InvalidArgumentError: When the graph runs on what is no picture, is truncated,
            or so narrow that it would have more than `MAX_PIXELS` pixels once resized.
    """
    picture = tf.cast(_upright_rgb(encoded), tf.float32)
    picture = _resized(picture, preset)
    picture.set_shape((None, None, 3))
    return _cropped(picture, preset.crop)


def _upright_rgb(encoded: Any) -> Any:
    """(H, W, 3), uint8."""
    is_jpeg = tf.io.is_jpeg(encoded)
    picture = tf.cond(
        is_jpeg,
        # As Pillow decodes: the default is a faster transform, some levels off.
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: _over_white(tf.io.decode_image(encoded, expand_animations=False)),
    )
    orientation = tf.cond(
        is_jpeg, lambda: exif_orientation(encoded), lambda: tf.constant(1, tf.int32)
    )
    return turned(picture, orientation)


def _over_white(picture: Any) -> Any:
    """RGB of 1 to 4 channels: grey, grey and alpha, RGB, RGB and alpha."""
    channels = tf.shape(picture)[-1]
    has_alpha = tf.equal(channels % 2, 0)
    colours = tf.cond(has_alpha, lambda: picture[..., :-1], lambda: picture)
    colours = tf.cond(
        channels < 3, lambda: tf.repeat(colours[..., :1], 3, axis=-1), lambda: colours
    )

    def composited() -> Any:
        alpha = tf.cast(picture[..., -1:], tf.float32) / 255
        mixed = alpha * tf.cast(colours, tf.float32) + (1 - alpha) * 255
        return tf.cast(tf.round(mixed), tf.uint8)

    return tf.cond(has_alpha, composited, lambda: colours)


def _resized(picture: Any, preset: Preset) -> Any:
    """The shorter side is `preset.resize`; pixels are whole numbers, as Pillow's are."""
    height, width = tf.unstack(tf.shape(picture)[:2])
    short = tf.minimum(height, width)
    ratio = tf.cast(tf.maximum(height, width), tf.float64) / tf.cast(short, tf.float64)
    # As load_image rounds: resize · long is exact, and the quotient is rounded down.
    product = tf.cast(preset.resize * tf.maximum(height, width), tf.float64)
    long = tf.cast(product / tf.cast(short, tf.float64), tf.int32)
    narrow = tf.debugging.assert_less_equal(
        ratio * preset.resize**2,
        tf.constant(float(MAX_PIXELS), tf.float64),
        message=f"a picture too narrow: resized it has more than {MAX_PIXELS} pixels",
    )
    with tf.control_dependencies([narrow]):
        size = tf.where(
            height <= width, tf.stack([preset.resize, long]), tf.stack([long, preset.resize])
        )
    if preset.interpolation == "nearest":
        return _nearest(picture, size)
    resized = tf.image.resize(picture, size, _METHODS[preset.interpolation], antialias=True)
    return tf.clip_by_value(tf.round(resized), 0, 255)


def _nearest(picture: Any, size: Any) -> Any:
    """The pixel under each new pixel's centre, as Pillow finds it."""
    for axis in (0, 1):
        side, new = tf.shape(picture)[axis], size[axis]
        scale = tf.cast(side, tf.float64) / tf.cast(new, tf.float64)
        steps = tf.concat([[scale / 2], tf.fill([new - 1], scale)], axis=0)
        centres = tf.cumsum(steps)  # added up, as Pillow does: it decides ties
        picture = tf.gather(picture, tf.cast(centres, tf.int32), axis=axis)
    return picture


def _cropped(picture: Any, crop: int) -> Any:
    """The centre, with a black border where the picture is smaller; rounded as `load_image`."""
    sides = tf.shape(picture)[:2]
    missing = tf.maximum(crop - sides, 0)
    before = missing // 2
    margins = tf.stack([before, missing - before], axis=1)
    picture = tf.pad(picture, tf.concat([margins, [[0, 0]]], axis=0))
    excess = tf.cast(tf.maximum(sides - crop, 0), tf.float32)
    top, left = tf.unstack(tf.cast(tf.round(excess / 2), tf.int32))
    picture = picture[top : top + crop, left : left + crop]
    picture.set_shape((crop, crop, 3))
    return picture
