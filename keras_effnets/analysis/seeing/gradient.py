"""The gradient of a scalar computed by Keras, on each backend."""

from collections.abc import Callable
from typing import Any

import keras


def gradient(score: Callable[[Any], Any], x: Any) -> Any:
    """Returns the gradient of `score` at `x`; weights and their gradients are not touched.

    Args:
        score: Maps a tensor of x's shape to a scalar, using Keras operations.
        x: A tensor of the backend.

    Returns:
        A tensor of x's shape.

    Raises:
        ValueError: The backend is not TensorFlow, JAX or PyTorch.
    """
    match keras.backend.backend():
        case "tensorflow":
            import tensorflow as tf

            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(x)
                value = score(x)
            return tape.gradient(value, x)
        case "jax":
            import jax

            return jax.grad(score)(x)
        case "torch":
            import torch

            with torch.enable_grad():
                given = x.detach().requires_grad_(True)
                return torch.autograd.grad(score(given), given)[0]
        case other:
            raise ValueError(
                f"KERAS_BACKEND={other!r} has no gradients: expected tensorflow, jax or torch"
            )
