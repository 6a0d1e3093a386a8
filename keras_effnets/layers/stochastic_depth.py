"""Dropping whole residual branches while training."""

from typing import Any

import keras

from keras_effnets.layers.chain import Shape, register


@register
class StochasticDepth(keras.layers.Layer):
    """Zeroes a residual branch with probability `rate`, while training.

    Deep Networks with Stochastic Depth, Huang et al., 2016, arXiv 1603.09382. The draw is one per
    sample, and what survives is divided by the survival probability, so that inference needs no
    scaling: the form that EfficientNet uses. With `per="batch"` it is the paper's own: one draw
    for all samples, what survives is left as it is, and inference multiplies by the survival
    probability. Any shape (B, ...) is kept. A frozen block is at inference.

    Args:
        rate: Probability of dropping, in [0, 1).
        seed: Of the draws; random where None.
        per: `"sample"` or `"batch"`.

    Raises:
        ValueError: For a rate outside [0, 1), or another `per`.
    """

    def __init__(
        self, rate: float, seed: int | None = None, *, per: str = "sample", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"StochasticDepth: rate={rate!r} is not in [0, 1)")
        if per not in ("sample", "batch"):
            raise ValueError(f"StochasticDepth: per={per!r} is not one of 'sample', 'batch'")
        self.rate = rate
        self.seed = seed
        self.per = per
        self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, input_shape: Shape) -> None:
        """Has no variables but the state of its random numbers."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Drops while training."""
        survival = 1 - self.rate
        if not training or not self.trainable or self.rate == 0:
            return inputs * survival if self.per == "batch" else inputs
        draws = keras.ops.shape(inputs)[0] if self.per == "sample" else 1
        shape = (draws,) + (1,) * (len(inputs.shape) - 1)
        draw = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        kept = inputs * keras.ops.cast(keras.ops.floor(draw + survival), inputs.dtype)
        return kept if self.per == "batch" else kept / survival

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed, "per": self.per}
