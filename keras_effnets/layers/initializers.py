"""Random values for new kernels, drawn by NumPy.

A network has hundreds of kernels, and drawing each by an operation of the backend takes longer
than all the rest of building it. NumPy gives the same values on every backend; the seed comes
from where Keras takes its own, so `keras.utils.set_random_seed` governs these too.
"""

import math
import random
from typing import Any

import keras
import numpy as np

from keras_effnets.layers.chain import register


class _FanOut(keras.initializers.Initializer):
    """Variance by the number of outputs that one input reaches."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def _draw(self, generator: np.random.Generator, shape: Any, fan_out: int) -> np.ndarray:
        raise NotImplementedError

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        """An array of `shape`, the last axis being the outputs."""
        seed = random.randint(0, 2**31 - 1) if self.seed is None else self.seed
        fan_out = math.prod(shape) // shape[-2]
        values = self._draw(np.random.default_rng(seed), shape, fan_out)
        return values.astype(np.dtype(dtype or "float32"), copy=False)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this initialiser again."""
        return {"seed": self.seed}


@register
class HeNormal(_FanOut):
    """Normal with variance 2 / fan-out: for convolutions before a ReLU or SiLU.

    Delving Deep into Rectifiers, He et al., 2015, arXiv 1502.01852. A depthwise kernel's fan-out
    is its k² taps.

    Args:
        seed: Of the draw; random where None.
    """

    def _draw(self, generator: np.random.Generator, shape: Any, fan_out: int) -> np.ndarray:
        scale = np.float32(math.sqrt(2 / fan_out))
        return generator.standard_normal(shape, dtype=np.float32) * scale


@register
class UniformFanOut(_FanOut):
    """Uniform within ±1 / sqrt(fan-out): for classifiers, as both heritages draw theirs.

    Args:
        seed: Of the draw; random where None.
    """

    def _draw(self, generator: np.random.Generator, shape: Any, fan_out: int) -> np.ndarray:
        scale = np.float32(1 / math.sqrt(fan_out))
        return (generator.random(shape, dtype=np.float32) * 2 - 1) * scale
