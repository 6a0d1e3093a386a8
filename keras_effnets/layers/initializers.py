"""Random values for new kernels, drawn by NumPy.

Drawing B7's kernels by the backend's operations takes longer than all the rest of building it, on
TensorFlow, JAX and PyTorch alike. NumPy is quicker and gives the same values on every backend; the
seed comes from where Keras takes its own, so `keras.utils.set_random_seed` governs these too.
"""

import math
import random
from typing import Any

import keras
import numpy as np

from keras_effnets.layers.chain import register


@register
class FanOutUniform(keras.initializers.Initializer):
    """Uniform around zero with variance `scale` / fan-out.

    The default is He's for units before a ReLU or SiLU (Delving Deep into Rectifiers, He et al.,
    2015, arXiv 1502.01852), uniform where the papers' code draws normals of the same variance:
    that is three times as fast. The fan-out is the number of outputs that one input reaches; a
    depthwise kernel's is its k² taps.

    Args:
        scale: Of the variance; 1/3 makes the range ±1 / sqrt(fan-out), which classifiers get.
        seed: Of the draw; random where None.
    """

    def __init__(self, scale: float = 2.0, seed: int | None = None) -> None:
        self.scale = scale
        self.seed = seed

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        """An array of `shape`, whose last axes are inputs and outputs."""
        seed = random.randint(0, 2**31 - 1) if self.seed is None else self.seed
        generator = np.random.Generator(np.random.SFC64(seed))
        limit = math.sqrt(3 * self.scale * shape[-2] / math.prod(shape))
        values = generator.random(shape, dtype=np.float32)
        values *= 2 * limit
        values -= limit
        return values.astype(np.dtype(dtype or "float32"), copy=False)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this initialiser again."""
        return {"scale": self.scale, "seed": self.seed}
