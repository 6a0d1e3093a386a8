"""Dropping whole residual branches while training."""

from typing import Any

import keras

from keras_effnets.layers.chain import Shape, register


@register
class StochasticDepth(keras.layers.Layer):
    """Zeroes each sample's branch with probability `rate`, and scales the kept ones.

    Deep Networks with Stochastic Depth, Huang et al., 2016, arXiv 1603.09382, in the form that
    EfficientNet uses: the draw is one per sample, and what survives is divided by the survival
    probability, so that inference needs no scaling. Any shape (B, ...) is kept. At inference,
    and in a frozen block, the input passes unchanged.

    Args:
        rate: Probability of dropping, in [0, 1).
        seed: Of the draws; random where None.

    Raises:
        ValueError: For a rate outside [0, 1).
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"StochasticDepth: rate={rate!r} is not in [0, 1)")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Shape) -> None:
        """Has no variables but the state of its random numbers."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Drops while training; the identity otherwise."""
        if not training or not self.trainable or self.rate == 0:
            return inputs
        survival = 1 - self.rate
        shape = (keras.ops.shape(inputs)[0],) + (1,) * (len(inputs.shape) - 1)
        draw = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        kept = keras.ops.cast(keras.ops.floor(draw + survival), inputs.dtype)
        return inputs * kept / survival

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
