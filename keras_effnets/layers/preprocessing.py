"""Normalisation of pixels as the first layer of a network."""

from typing import Any

import keras
import numpy as np

from keras_effnets.images.preset import Preset
from keras_effnets.layers.chain import ConfiguredLayer, Shape, register


def full_precision() -> str:
    """The dtype of variables under the global policy: float32 even under mixed precision."""
    return str(keras.config.dtype_policy().variable_dtype)


@register
class Preprocessing(ConfiguredLayer):
    """Normalises RGB pixels 0-255 as in the network's training.

    Computes `(pixels - mean) / std` in full precision, (B, H, W, C) to (B, H, W, C). One grey
    channel becomes three, as if the image had been copied to RGB. Channels beyond three are
    normalised like red, green and blue in turn. With `normalize=False` the layer returns its input
    and only keeps the preset for the code that prepares the images.

    Args:
        preset: The size, resampling and normalisation that the network expects: a `Preset`, or its
            dict.
        normalize: Whether the model normalises.
    """

    def __init__(
        self, preset: Preset | dict[str, Any], normalize: bool = True, **kwargs: Any
    ) -> None:
        kwargs.setdefault("dtype", full_precision())
        super().__init__(**kwargs)
        self.preset = preset if isinstance(preset, Preset) else Preset.from_dict(preset)
        self.normalize = normalize

    def call(self, inputs: Any) -> Any:
        """The normalised pixels."""
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
        # Whole rows at once: four times as fast on a CPU as three numbers at a time.
        rows = keras.ops.reshape(pixels, (-1, width * channels))
        rows = (rows - np.tile(mean, width)) / np.tile(std, width)
        return keras.ops.reshape(rows, (-1, height, width, channels))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape, with three channels instead of one."""
        *sides, channels = input_shape
        return (*sides, 3 if self.normalize and channels == 1 else channels)

    def get_config(self) -> dict[str, Any]:
        """The arguments that recreate this layer, the preset as a dict."""
        return {**super().get_config(), "preset": self.preset.to_dict()}
