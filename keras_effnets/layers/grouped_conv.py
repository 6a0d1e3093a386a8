"""Grouped convolution that is fast on TensorFlow's CPU path and runs everywhere."""

import contextlib
import functools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import keras

from keras_effnets.layers.chain import register

_portable: ContextVar[bool] = ContextVar("portable", default=False)


@contextlib.contextmanager
def portable_convolutions() -> Iterator[None]:
    """Splits the grouped convolutions of graphs traced in this block into plain ones.

    The plain ones are slower than TensorFlow's grouped kernel, but run where that kernel does not:
    without oneDNN, and in runtimes that have no grouped kernel.
    """
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


@register
class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, without XLA compilation.

    Same arguments, same kernel (height, width, C / groups, filters), same numbers. On TensorFlow
    Keras compiles each grouped convolution with XLA, which is slow on a CPU and has to happen on
    every server too. This layer uses TensorFlow's own convolution where that works, forward and
    backward, and otherwise one convolution per group. JAX and PyTorch have grouped convolutions.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution without bias and activation."""
        if self.groups == 1 or keras.backend.backend() != "tensorflow":
            return super().convolution_op(inputs, kernel)
        if not _portable.get() and _tensorflow_groups(inputs.dtype.name):
            return self._convolve(inputs, kernel)
        parts = zip(
            keras.ops.split(inputs, self.groups, axis=-1),
            keras.ops.split(kernel, self.groups, axis=-1),
            strict=True,
        )
        return keras.ops.concatenate([self._convolve(*part) for part in parts], axis=-1)

    def _convolve(self, inputs: Any, kernel: Any) -> Any:
        import tensorflow as tf

        # Without oneDNN, `conv2d` has no gradient on a CPU if it is dilated; `convolution` has.
        is_dilated = max(self.dilation_rate) > 1
        native = not is_dilated or _tensorflow_groups(inputs.dtype.name)
        convolve = tf.nn.conv2d if native else tf.nn.convolution
        return convolve(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=self.padding.upper(),
            dilations=list(self.dilation_rate),
        )


@functools.cache
def _tensorflow_groups(dtype: str) -> bool:
    """Whether TensorFlow's convolution takes a grouped kernel of this dtype, gradients included.

    On a CPU it takes one only through oneDNN, which has no float64 and which
    TF_ENABLE_ONEDNN_OPTS=0 turns off. A tiny convolution finds out.
    """
    import tensorflow as tf

    with tf.init_scope():  # outside any graph being traced
        try:
            inputs = tf.ones((1, 3, 3, 4), dtype)
            kernel = tf.ones((3, 3, 2, 4), dtype)
            options = {"strides": [1, 1, 1, 1], "padding": "SAME"}
            outputs = tf.nn.conv2d(inputs, kernel, **options)
            # Called directly, as no tape records in this scope.
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=inputs.shape, filter=kernel, out_backprop=outputs, **options
            )
            tf.raw_ops.Conv2DBackpropFilter(
                input=inputs, filter_sizes=kernel.shape, out_backprop=outputs, **options
            )
            # With a bias and a ReLU after it, the graph optimizer picks another kernel.
            tf.function(lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel, **options) + 1))(inputs)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True
