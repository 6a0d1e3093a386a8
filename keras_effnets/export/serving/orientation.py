"""Reads and undoes the EXIF orientation of a JPEG inside a TensorFlow graph."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_SEARCHED = 4096
"""The EXIF segment must begin within this many bytes of the file; cameras write it first."""
_MARK = b"Exif\x00\x00"
_ORIENTATION = 0x0112


def exif_orientation(encoded: Any) -> Any:
    """Returns 1 to 8, a scalar int32; 1 (upright) if the orientation is missing or unreadable.

    Args:
        encoded: A scalar string, the bytes of a JPEG file.
    """
    raw = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)
    # Zeros after the end, which are not a valid orientation.
    start = tf.concat([raw[: 2**16], tf.zeros((32,), tf.int32)], axis=0)
    found = _begins(start[:_SEARCHED])
    return tf.cond(
        tf.size(found) > 0,
        lambda: _from_tiff(start[found[0] + len(_MARK) :]),
        lambda: tf.constant(1, tf.int32),
    )


def upright(image: Any, orientation: Any) -> Any:
    """Turns a stored image upright.

    Args:
        image: (H, W, C), as decoded.
        orientation: The EXIF orientation, 1 to 8.
    """

    def swapped() -> Any:
        return tf.transpose(image, (1, 0, 2))

    return tf.switch_case(
        orientation - 1,
        [
            lambda: image,
            lambda: image[:, ::-1],
            lambda: image[::-1, ::-1],
            lambda: image[::-1],
            swapped,
            lambda: swapped()[:, ::-1],
            lambda: swapped()[::-1, ::-1],
            lambda: swapped()[::-1],
        ],
    )


def _begins(start: Any) -> Any:
    """Finds the marks of EXIF segments, which follow 0xFF 0xE1 and two bytes of length."""
    pattern = {0: 0xFF, 1: 0xE1, **{4 + offset: byte for offset, byte in enumerate(_MARK)}}
    count = tf.maximum(tf.size(start) - 4 - len(_MARK), 0)
    matches = [tf.equal(start[offset : offset + count], byte) for offset, byte in pattern.items()]
    return tf.cast(tf.where(tf.reduce_all(tf.stack(matches), axis=0))[:, 0], tf.int32) + 4


def _from_tiff(tiff: Any) -> Any:
    """Reads the orientation in the first directory of a TIFF header."""
    little = tf.equal(tiff[0], ord("I"))

    def number(at: Any, size: int) -> Any:
        """Reads an unsigned number; zero beyond the end."""
        places = at + tf.range(size)
        inside = (places >= 0) & (places < tf.size(tiff))
        values = tf.where(inside, tf.gather(tiff, tf.where(inside, places, 0)), 0)
        values = tf.where(little, values[::-1], values)
        return tf.reduce_sum(values * tf.constant([256**power for power in range(size)][::-1]))

    # Three bytes: a directory is not 16 MB away, and a fourth could overflow.
    directory = tf.where(little, number(4, 3), number(5, 3))
    entries = tf.minimum(number(directory, 2), 64)

    def entry(index: Any) -> Any:
        at = directory + 2 + 12 * index
        return tf.where(tf.equal(number(at, 2), _ORIENTATION), number(at + 8, 2), 0)

    found = tf.map_fn(entry, tf.range(entries), fn_output_signature=tf.int32)
    value = tf.reduce_max(tf.concat([found, [0]], axis=0))
    return tf.where((value >= 1) & (value <= 8), value, 1)
