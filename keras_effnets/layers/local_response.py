"""Normalisation over neighbouring channels, from before batch norm."""

from typing import Any

import keras

from keras_effnets.layers.chain import ConfiguredLayer, register


@register
class LocalResponseNormalization(ConfiguredLayer):
    """Divides each value by a power of the sum of squares of its neighbours in other channels.

    ImageNet Classification with Deep Convolutional Neural Networks, Krizhevsky et al., 2012,
    section 3.3: x / (bias + alpha · Σ x²)^beta, the sum over `size` channels around. Keeps
    (B, H, W, C). Alpha is the paper's; Caffe and PyTorch divide their alpha by `size`.

    Args:
        size: Channels in the sum, odd.
        bias: The paper's k.
        alpha: Factor of the sum, not divided by `size`.
        beta: The power.

    Raises:
        ValueError: For an even size, or one below 1.
    """

    def __init__(
        self,
        size: int = 5,
        *,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise ValueError(f"LocalResponseNormalization: size={size!r} is not a positive odd int")
        self.size = size
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def call(self, inputs: Any) -> Any:
        """The normalised input."""
        channels, radius = inputs.shape[-1], self.size // 2
        squares = keras.ops.pad(
            keras.ops.square(inputs), ((0, 0), (0, 0), (0, 0), (radius, radius))
        )
        total = sum(squares[..., start : start + channels] for start in range(self.size))
        return inputs / (self.bias + self.alpha * total) ** self.beta
