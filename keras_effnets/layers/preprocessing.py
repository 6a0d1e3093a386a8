"""Normalisation of pixels as a network's first layer."""

from typing import Any

import keras
import numpy as np

from keras_effnets.images.preset import Preset
from keras_effnets.layers.chain import Shape, register


def full_precision() -> str:
    """The dtype of variables under the global policy: float32 under mixed precision too."""
    return str(keras.config.dtype_policy().variable_dtype)


@register
class Preprocessing(keras.layers.Layer):
    """Takes RGB pixels 0-255 and gives what the network was trained on.

    Computes `(pixels - mean) / std` in full precision, (B, H, W, C) to (B, H, W, C). One grey
    channel becomes three, as if its RGB copy had come; channels beyond three are normalised
    like red, green, blue in turn. With `normalize=False` it passes its input on, and only keeps
    the preset for whoever prepares the pictures.

    Args:
        preset: How the network wants its pictures: a `Preset`, or the dict of one.
        normalize: Whether the model normalises.
    """

    def __init__(
        self, preset: Preset | dict[str, Any], normalize: bool = True, **kwargs: Any
    ) -> None:
        kwargs.setdefault("dtype", full_precision())
        super().__init__(**kwargs)
        self.preset = preset if isinstance(preset, Preset) else Preset.from_dict(preset)
        self.normalize = normalize

    def build(self, input_shape: Shape) -> None:
        """Has no variables."""

    def call(self, inputs: Any) -> Any:
        """Normalises."""
        pixels = keras.ops.cast(inputs, self.compute_dtype)
        if not self.normalize:
            return pixels
        _, height, width, channels = inputs.shape
        mean, std = (
            np.resize(values, 3 if channels == 1 else channels).astype(self.compute_dtype)
            for values in (self.preset.mean, self.preset.std)
        )
        if None in (height, width) or channels == 1:
            return (pixels - mean) / std
        # Whole rows against whole rows: four times as fast on a CPU as three numbers at a time.
        rows = keras.ops.reshape(pixels, (-1, width * channels))
        rows = (rows - np.tile(mean, width)) / np.tile(std, width)
        return keras.ops.reshape(rows, (-1, height, width, channels))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape, one channel becoming three."""
        *picture, channels = input_shape
        return (*picture, 3 if self.normalize and channels == 1 else channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return {
            **super().get_config(),
            "preset": self.preset.to_dict(),
            "normalize": self.normalize,
        }
