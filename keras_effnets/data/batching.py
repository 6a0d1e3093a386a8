"""One epoch of pictures as batches, decoded in parallel by `tf.data`.

Pillow decodes, by `load_image` itself, within `tf.data`: the pixels are bit for bit those that
`predict` and `evaluate` show to the model, every format is read that they read, and an error names
its file. Pillow lets other threads run while it decodes and resizes.
"""

from __future__ import annotations

import operator
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
from keras_effnets.data.splitting import check_seed
from keras_effnets.images.preprocessing import load_image
from keras_effnets.images.preset import Preset
from keras_effnets.images.reading import read_rgb

if TYPE_CHECKING:
    import tensorflow as tf

# What a seed is used for, so that no two uses see the same numbers.
_ORDER, _PICTURE, _RAND_AUGMENT, _MIX = range(4)
_AHEAD = 2
"""Batches that wait for the model: a fixed number, for a fixed amount of memory."""


def default_workers() -> int:
    """As many threads as there are cores, at most 16."""
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

    Pictures come as `load_image` gives them. For training they are shuffled and augmented, which
    depends on `seed`, `epoch` and the pictures alone: another call with the same gives the same
    bits, whatever the number of workers.

    Args:
        pictures: To decode.
        preset: The sides and the interpolation to use.
        batch_size: Pictures in a batch.
        augment: Of `AUGMENTATIONS`, in any order; only done for training. "flip" mirrors half of
            the pictures; "crop" takes a random part (35 to 100 % of the area, 3:4 to 4:3) instead
            of resizing and centre-cropping; "randaugment" does two random operations of ten;
            "mixup" blends and "cutmix" pastes pictures of a batch and their targets, and where
            both are named each batch gets one of them.
        training: Whether to shuffle and augment.
        seed: Of the run, 0 or more.
        epoch: 0 or more.
        workers: Pictures that are decoded at a time; None takes as many as there are cores, at
            most 16.
        mixed: The share of batches that "mixup" and "cutmix" change, 0 to 1.
        shard: Which part of every batch to give, and of how many equal parts: for processes that
            share the batches. "mixup" and "cutmix" then mix within a part.

    Returns:
        Of (B, crop, crop, 3) float32 RGB pixels 0-255 and (B, classes) float32 targets, which sum
        to 1 for each picture. Where a picture cannot be read, iterating raises a
        `tf.errors.OpError` whose message has the file's name.

    Raises:
        ValueError: If there are no pictures, or an argument is outside what is allowed.
    """
    import tensorflow as tf

    if not len(pictures):
        raise ValueError("pictures: there are none, expected at least one")
    batch_size = _count("batch_size", batch_size)
    workers = _count("workers", default_workers() if workers is None else workers)
    seed, epoch = check_seed("seed", seed), check_seed("epoch", epoch)
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
        # By its place in the one tuple of names, which so is held once.
        random = np.random.default_rng([seed, epoch, _PICTURE, int(index)])
        return _pixels(pictures.paths[int(index)], preset, names, random)

    augmented = rand_augment() if "randaugment" in names else None
    mixers = tuple(name for name in ("mixup", "cutmix") if name in names)
    mixture = mixing(mixers) if mixers else None

    @tf.autograph.experimental.do_not_convert
    def decode(index: Any, target: Any) -> tuple[Any, Any]:
        # It is stateless, and says so: `enable_op_determinism` would else let one thread decode.
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
    """(crop, crop, 3), one picture, cropped and flipped as the random numbers have it."""
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
        raise ValueError(f"shard={(part, parts)!r}: expected a part from 0 to {parts - 1}")
    if batch_size % parts or len(order) % parts:
        raise ValueError(
            f"shard={(part, parts)!r}: batch_size={batch_size} and {len(order)} pictures do not "
            f"divide into {parts} equal parts"
        )
    starts = range(0, len(order), batch_size)
    return np.concatenate(
        [np.split(order[start : start + batch_size], parts)[part] for start in starts]
    )


def _root(seed: int, epoch: int, use: int) -> np.int64:
    """A number for one use in one epoch, from which stateless operations draw."""
    return np.int64(np.random.SeedSequence([seed, epoch, use]).generate_state(1)[0])


def _count(name: str, value: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1:
        raise ValueError(f"{name}={value!r}: expected an integer of 1 or more")
    return count
