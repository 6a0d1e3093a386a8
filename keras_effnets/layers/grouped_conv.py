"""Grouped convolution that is fast on TensorFlow's CPU path, and runs everywhere."""

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
    """Graphs traced in this block split their grouped convolutions into plain ones.

    Slower where TensorFlow's own kernel works, and it runs where that does not: without oneDNN,
    and in runtimes that know no grouped kernel.
    """
    token = _portable.set(True)
    try:
        yield
    finally:
        _portable.reset(token)


@register
class GroupedConv2D(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, without the compilation that Keras asks XLA for.

    Same arguments, same kernel (height, width, C / groups, filters), same numbers. On TensorFlow
    Keras compiles each grouped convolution by XLA, which is slow on a CPU and must be compiled on
    a server too. Here it is TensorFlow's own convolution where that works, forward and backward,
    and otherwise one convolution a group. JAX and PyTorch group by themselves.
    """

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution alone, before bias and activation."""
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

        return tf.nn.conv2d(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=self.padding.upper(),
            dilations=list(self.dilation_rate),
        )


@functools.cache
def _tensorflow_groups(dtype: str) -> bool:
    """Whether TensorFlow's convolution takes a grouped kernel of this type, gradients included.

    On a CPU that is oneDNN's doing, which TF_ENABLE_ONEDNN_OPTS=0 turns off and which has no
    float64: a tiny convolution tells.
    """
    import tensorflow as tf

    with tf.init_scope():  # outside whatever graph is being traced
        try:
            inputs = tf.ones((1, 3, 3, 4), dtype)
            kernel = tf.ones((3, 3, 2, 4), dtype)
            options = {"strides": [1, 1, 1, 1], "padding": "SAME"}
            outputs = tf.nn.conv2d(inputs, kernel, **options)
            # By name, as no tape records in this scope.
            tf.raw_ops.Conv2DBackpropInput(
                input_sizes=inputs.shape, filter=kernel, out_backprop=outputs, **options
            )
            tf.raw_ops.Conv2DBackpropFilter(
                input=inputs, filter_sizes=kernel.shape, out_backprop=outputs, **options
            )
            # With a bias and a ReLU behind it the graph's optimizer makes it another kernel.
            tf.function(lambda x: tf.nn.relu(tf.nn.conv2d(x, kernel, **options) + 1))(inputs)
        except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
            return False
    return True
