"""Convolution and batch norm in one, where the batch norm only scales and shifts."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import keras

_separate: ContextVar[bool] = ContextVar("separate", default=False)


@contextlib.contextmanager
def separate_norms() -> Iterator[None]:
    """In this block every convolution and every batch norm is called as a layer of its own.

    For whoever watches what passes through them. A function that was traced before keeps its
    graph.
    """
    token = _separate.set(True)
    try:
        yield
    finally:
        _separate.reset(token)


def can_fuse(norm: Any, inputs: Any, training: bool | None) -> bool:
    """Whether `fused` may stand for a convolution and its batch norm, and is the faster.

    That is on TensorFlow, in float32, wherever the norm goes by its moving statistics: at
    inference, and frozen while the rest trains. There the norm is two more passes over the
    features. JAX's compiler and PyTorch's own kernel need no help. A symbolic input asks what the
    layers are, and so meets each of them.
    """
    return (
        keras.backend.backend() == "tensorflow"
        and not _separate.get()
        and isinstance(norm, keras.layers.BatchNormalization)
        and not (training and norm.trainable)
        and norm.compute_dtype == norm.variable_dtype == "float32"
        and not keras.utils.is_keras_tensor(inputs)
    )


def fused(conv: Any, norm: Any, inputs: Any) -> Any:
    """What `norm(conv(inputs))` gives, by scaled kernels and a bias.

    TensorFlow then makes one kernel of the convolution, the bias and the ReLU behind them. While
    it runs, the scaled kernels take as much memory as the kernels themselves.

    Args:
        conv: A built `Conv2D` or `DepthwiseConv2D`, with a bias or without.
        norm: The built `BatchNormalization` of its outputs.
        inputs: (B, H, W, C), padded.
    """
    scale = norm.gamma * keras.ops.rsqrt(norm.moving_variance + norm.epsilon)
    shift = norm.beta - norm.moving_mean * scale
    if isinstance(conv, keras.layers.DepthwiseConv2D):
        outputs = keras.ops.depthwise_conv(
            inputs,
            conv.kernel * keras.ops.reshape(scale, (-1, 1)),  # (height, width, C, 1)
            strides=conv.strides,
            padding=conv.padding,
            data_format="channels_last",
            dilation_rate=conv.dilation_rate,
        )
    else:
        outputs = conv.convolution_op(inputs, conv.kernel * scale)
    if conv.use_bias:
        shift = shift + conv.bias * scale
    return outputs + shift
