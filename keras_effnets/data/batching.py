"""One epoch of images as batches, decoded in parallel by `tf.data`.

`tf.data` calls `load_image`, which decodes with Pillow: the pixels are bit for bit those that
`predict` and `evaluate` use, the same formats are supported, and errors name their file. Pillow
releases Python's lock while it decodes and resizes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from keras_effnets.data.augmentation import (
    check_augmentations,
    mixing,
    rand_augment,
    random_crop,
)
from keras_effnets.data.labelled import Pictures
from keras_effnets.data.splitting import check_integer
from keras_effnets.images.preprocessing import load_image
from keras_effnets.images.preset import Preset
from keras_effnets.images.reading import read_rgb

if TYPE_CHECKING:
    import tensorflow as tf

# The uses of a seed, so that no two uses draw the same numbers.
_ORDER, _PICTURE, _RAND_AUGMENT, _MIX = range(4)
_AHEAD = 2
"""Prefetched batches; a fixed number bounds the memory."""


def default_workers() -> int:
    """The number of threads: one a core, at most 16."""
    return min(16, os.cpu_count() or 1)


def batches(
    pictures: Pictures,
    preset: Preset,
    *,
    batch_size: int,
    augment: Sequence[str] = (),
    training: bool = False,
    seed: int = 0,
    epoch: int = 0,
    workers: int | None = None,
    mixed: float = 1.0,
    shard: tuple[int, int] = (0, 1),
) -> tf.data.Dataset:
    """Makes one epoch of batches; the last may be smaller.

    Images are decoded by `load_image`. For training they are shuffled and augmented, which
    depends only on `seed`, `epoch` and the images: the same arguments give the same bits for any
    number of workers.

    Args:
        pictures: The images to decode.
        preset: The image sizes and the interpolation.
        batch_size: The number of images in a batch.
        augment: Names from `AUGMENTATIONS` in any order, applied only for training. "flip"
            mirrors half of the images; "crop" takes a random part (35 to 100 % of the area, 3:4
            to 4:3) instead of resizing and centre-cropping; "randaugment" applies two of ten
            operations; "mixup" blends and "cutmix" pastes images of a batch and their targets.
            With both, each batch gets one of them.
        training: Whether to shuffle and augment.
        seed: The run's random seed, 0 or more.
        epoch: The epoch's number, 0 or more.
        workers: The number of images decoded in parallel; None is one a core, at most 16.
        mixed: The share of batches that "mixup" and "cutmix" change, 0 to 1.
        shard: The index of the part of each batch to return and the number of equal parts, for
            processes that share the batches. "mixup" and "cutmix" then mix within a part.

    Returns:
        A dataset of (B, crop, crop, 3) float32 RGB pixels 0-255 and (B, classes) float32 targets
        that sum to 1. Iterating raises a `tf.errors.OpError` that names the file if an image
        cannot be read.

    Raises:
        ValueError: If there are no images or an argument is out of range.
    """
    import tensorflow as tf

    if not len(pictures):
        raise ValueError("pictures: there are no images; expected at least one")
    batch_size = check_integer("batch_size", batch_size, 1)
    workers = check_integer("workers", default_workers() if workers is None else workers, 1)
    seed, epoch = check_integer("seed", seed, 0), check_integer("epoch", epoch, 0)
    if not 0 <= mixed <= 1:
        raise ValueError(f"mixed={mixed!r}: expected a number from 0 to 1")
    names = check_augmentations(augment) if training else ()
    order = np.arange(len(pictures))
    if training:
        order = np.random.default_rng([seed, epoch, _ORDER]).permutation(order)
    order = _part_of_each_batch(order, batch_size, *shard)
    batch_size //= shard[1]
    side, classes = preset.crop, len(pictures.classes)

    def read(index: NDArray[np.int64]) -> NDArray[np.float32]:
        # Indexing the one tuple of paths avoids a copy of them in the graph.
        random = np.random.default_rng([seed, epoch, _PICTURE, int(index)])
        return _pixels(pictures.paths[int(index)], preset, names, random)

    augmented = rand_augment() if "randaugment" in names else None
    mixers = tuple(name for name in ("mixup", "cutmix") if name in names)
    mixture = mixing(mixers) if mixers else None

    @tf.autograph.experimental.do_not_convert
    def decode(index: Any, target: Any) -> tuple[Any, Any]:
        # Declared stateless, because `enable_op_determinism` would otherwise use one thread.
        pixels = tf.numpy_function(read, [index], tf.float32, stateful=False)
        pixels = tf.ensure_shape(pixels, (side, side, 3))
        if augmented:
            pixels = augmented(pixels, tf.stack([_root(seed, epoch, _RAND_AUGMENT), index]))
        return pixels, target

    @tf.autograph.experimental.do_not_convert
    def finish(number: Any, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        pixels, targets = batch[0], tf.one_hot(batch[1], classes)
        if not mixture:
            return pixels, targets
        return mixture(pixels, targets, tf.stack([_root(seed, epoch, _MIX), number]), mixed)

    options = tf.data.Options()
    options.deterministic = True
    return (
        tf.data.Dataset.from_tensor_slices((order, pictures.targets[order]))
        .map(decode, num_parallel_calls=workers)
        .batch(batch_size)
        .enumerate()
        .map(finish)
        .prefetch(_AHEAD)
        .with_options(options)
    )


def _pixels(
    path: str, preset: Preset, names: Sequence[str], random: np.random.Generator
) -> NDArray[np.float32]:
    """Decodes one image to (crop, crop, 3), with the random crop and flip if they are named."""
    if "crop" in names:
        image = random_crop(read_rgb(path), preset.crop, preset.interpolation, random)
        pixels = np.asarray(image, np.float32)
    else:
        pixels = load_image(path, preset)
    if "flip" in names and random.random() < 0.5:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
    return pixels


def _part_of_each_batch(
    order: NDArray[np.int64], batch_size: int, part: int, parts: int
) -> NDArray[np.int64]:
    if not 0 <= part < parts:
        raise ValueError(f"shard={(part, parts)!r}: expected an index from 0 to {parts - 1}")
    if batch_size % parts or len(order) % parts:
        raise ValueError(
            f"shard={(part, parts)!r}: batch_size={batch_size} and {len(order)} images do not "
            f"divide into {parts} equal parts"
        )
    starts = range(0, len(order), batch_size)
    return np.concatenate(
        [np.split(order[start : start + batch_size], parts)[part] for start in starts]
    )


def _root(seed: int, epoch: int, use: int) -> np.int64:
    """The seed of stateless operations for one use in one epoch."""
    return np.int64(np.random.SeedSequence([seed, epoch, use]).generate_state(1)[0])
