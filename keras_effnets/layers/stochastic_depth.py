"""Dropping whole residual branches while training."""

from typing import Any

import keras

from keras_effnets.layers.chain import ConfiguredLayer, check_choice, check_rate, register


@register
class StochasticDepth(ConfiguredLayer):
    """Zeroes a residual branch with probability `rate`, while training.

    Deep Networks with Stochastic Depth, Huang et al., 2016, arXiv 1603.09382. By default each
    sample has its own draw, and surviving branches are divided by the survival probability, so
    inference needs no scaling: the form that EfficientNet uses. `per="batch"` is the paper's form:
    one draw for the whole batch, survivors unchanged, and inference multiplies by the survival
    probability. Keeps any shape (B, ...). A frozen layer behaves as at inference.

    Args:
        rate: Probability of dropping, in [0, 1).
        seed: Seed of the draws; None for a random one.
        per: `"sample"` or `"batch"`.

    Raises:
        ValueError: For a rate outside [0, 1), or an unknown `per`.
    """

    def __init__(
        self, rate: float, seed: int | None = None, *, per: str = "sample", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_rate(self, "rate", rate)
        check_choice(self, "per", per, ("sample", "batch"))
        self.rate = rate
        self.seed = seed
        self.per = per
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Drops branches while training."""
        survival = 1 - self.rate
        if not training or not self.trainable or self.rate == 0:
            return inputs * survival if self.per == "batch" else inputs
        draws = keras.ops.shape(inputs)[0] if self.per == "sample" else 1
        shape = (draws,) + (1,) * (len(inputs.shape) - 1)
        draw = keras.random.uniform(shape, dtype="float32", seed=self.seed_generator)
        kept = inputs * keras.ops.cast(keras.ops.floor(draw + survival), inputs.dtype)
        return kept if self.per == "batch" else kept / survival
