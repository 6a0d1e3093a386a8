"""The gradient of a number that Keras computes, which each backend takes in its own way."""

from collections.abc import Callable
from typing import Any

import keras


def gradient(score: Callable[[Any], Any], x: Any) -> Any:
    """The derivative of `score` at `x`; weights are left as they are, and so are their gradients.

    Args:
        score: From a tensor of x's shape to a scalar, in operations of Keras.
        x: A tensor of the backend.

    Returns:
        A tensor of x's shape.

    Raises:
        ValueError: On a backend other than TensorFlow, JAX and PyTorch.
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
