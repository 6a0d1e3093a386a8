"""Random augmentation of training images that gives the same result in any thread.

Keras's layers draw from generators whose state advances with every call, so with several threads
the result depends on which one comes first. Here the layers draw from `_Seeds`, which derives
every number from a tensor: the position of the image, or of the batch, in its epoch.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image

AUGMENTATIONS = ("flip", "crop", "randaugment", "mixup", "cutmix")

CROP_AREA = (0.35, 1.0)
"""The range of the share of the image's area that "crop" keeps."""
CROP_RATIO = (3 / 4, 4 / 3)
"""The range of the crop's aspect ratio, width by height."""

_DRAWS = 1000
"""More random numbers than one image or batch needs."""


def check_augmentations(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names without repetitions.

    Raises:
        ValueError: If a name is unknown.
    """
    given = (names,) if isinstance(names, str) else tuple(names)
    for name in given:
        if name not in AUGMENTATIONS:
            raise ValueError(f"augment={name!r}: expected some of {', '.join(AUGMENTATIONS)}")
    return tuple(dict.fromkeys(given))


def crop_box(
    size: tuple[int, int], random: np.random.Generator
) -> tuple[float, float, float, float]:
    """Draws a random crop: left, top, right and bottom in pixels.

    Args:
        size: The image's width and height in pixels.
        random: The random number generator.
    """
    width, height = size
    area = random.uniform(*CROP_AREA) * width * height
    ratio = math.exp(random.uniform(*np.log(CROP_RATIO)))
    wide, high = min(width, math.sqrt(area * ratio)), min(height, math.sqrt(area / ratio))
    left, top = random.uniform(0, width - wide), random.uniform(0, height - high)
    return left, top, left + wide, top + high


def random_crop(
    image: Image.Image, side: int, interpolation: str, random: np.random.Generator
) -> Image.Image:
    """Resizes a random crop of an image to `side` by `side` pixels."""
    resampling = Image.Resampling[interpolation.upper()]
    return image.resize((side, side), resampling, box=crop_box(image.size, random))


class _Seeds(keras.random.SeedGenerator):
    """Seeds derived from a tensor; restart it wherever a graph is traced."""

    def __init__(self) -> None:
        super().__init__(0, name="seeds")
        self._root: Any = None
        self._drawn = 0

    def restart(self, root: Any) -> None:
        self._root, self._drawn = root, 0

    def next(self, ordered: bool = True) -> Any:
        self._drawn += 1
        return self._root + np.array([0, self._drawn], np.int64)


def _drawing_from(layer: Any, seeds: _Seeds) -> Any:
    # On every backend Keras's layers call this method for their generator.
    layer._get_seed_generator = lambda backend=None: seeds
    return layer


@functools.cache
def rand_augment() -> Callable[[Any, Any], Any]:
    """Makes a function that applies two of ten operations at random.

    Call it outside graphs, because the layers create variables. Keras's own `RandAugment` layer
    computes all its operations and keeps two. Its equalization is left out: on backends other
    than TensorFlow its graph takes many seconds to start.

    Returns:
        A function of (H, W, 3) pixels 0-255 and (2,) int64 seeds that returns pixels.
    """
    import tensorflow as tf

    seeds = _Seeds()
    layers = [
        _drawing_from(layer, seeds)
        for layer in (
            keras.layers.RandomShear(0.3, 0.3),
            keras.layers.RandomTranslation(0.15, 0.15),
            keras.layers.RandomRotation(1 / 12),
            keras.layers.RandomBrightness(0.3),
            keras.layers.RandomColorDegeneration(0.5),
            keras.layers.RandomContrast(0.5),
            keras.layers.RandomSharpness(0.5),
            keras.layers.RandomPosterization(4),
            keras.layers.Solarization(0.3, 0.3),
            keras.layers.AutoContrast(),
        )
    ]

    def augment(image: Any, root: Any) -> Any:
        root = root * np.array([1, _DRAWS], np.int64)
        picks = tf.random.stateless_uniform((2,), root, 0, len(layers), tf.int32)

        def once(turn: Any, image: Any) -> tuple[Any, Any]:
            seeds.restart(root + tf.stack([0, tf.cast(turn, tf.int64) * (_DRAWS // 2)]))
            branches = [functools.partial(layer, image) for layer in layers]
            return turn + 1, tf.ensure_shape(tf.switch_case(picks[turn], branches), image.shape)

        # A loop puts the operations into the graph once rather than twice.
        return tf.while_loop(lambda turn, _: turn < 2, once, (0, image))[1]

    return tf.function(augment, autograph=False)


@functools.cache
def mixing(names: tuple[str, ...]) -> Callable[[Any, Any, Any, Any], tuple[Any, Any]]:
    """Makes a function that mixes batches with MixUp or CutMix; call it outside graphs.

    Args:
        names: "mixup", "cutmix", or both to choose one at random for each batch.

    Returns:
        A function of (B, H, W, 3) pixels, (B, classes) targets, (2,) int64 seeds and the share of
        batches to mix that returns new pixels and targets.
    """
    import tensorflow as tf

    seeds = _Seeds()
    known = {"mixup": keras.layers.MixUp, "cutmix": keras.layers.CutMix}
    layers = [_drawing_from(known[name](), seeds) for name in names]

    def run(layer: Any, pixels: Any, targets: Any) -> tuple[Any, Any]:
        mixed = layer({"images": pixels, "labels": targets})
        # MixUp's rounding errors can leave the range 0 to 255.
        inside = tf.clip_by_value(mixed["images"], 0.0, 255.0)
        return tf.ensure_shape(inside, pixels.shape), tf.ensure_shape(
            mixed["labels"], targets.shape
        )

    def mix(pixels: Any, targets: Any, root: Any, share: Any) -> tuple[Any, Any]:
        root = root * np.array([1, _DRAWS], np.int64)
        seeds.restart(root)
        lot, which = tf.unstack(tf.random.stateless_uniform((2,), root))
        branches = [functools.partial(run, layer, pixels, targets) for layer in layers]
        chosen = tf.cast(which * len(layers), tf.int32)
        return tf.cond(
            lot < share,
            lambda: tf.switch_case(chosen, branches),
            lambda: (pixels, targets),
        )

    return tf.function(mix, autograph=False)
