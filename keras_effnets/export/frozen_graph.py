"""Freezes a model into one TensorFlow graph of constants, the input of all converters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_effnets.layers import Preprocessing

INPUT, OUTPUT = "images", "scores"
"""The names of every artifact's input and output."""


@dataclass(frozen=True, slots=True)
class FrozenGraph:
    """A graph without variables.

    Attributes:
        function: TensorFlow's concrete function, with the weights inside.
        input: The name of the input tensor, the images.
        output: The name of the output tensor, the scores.
    """

    function: Any
    input: str
    output: str

    @property
    def graph_def(self) -> Any:
        """The graph as TensorFlow's protocol buffer."""
        return self.function.graph.as_graph_def()


def freeze_graph(model: keras.Model, batch: int | None = None) -> FrozenGraph:
    """Traces a model for inference and turns its weights into constants.

    Args:
        model: A model with one input of images and one output, on the TensorFlow backend.
        batch: The batch size; None for any.

    Raises:
        ValueError: Keras runs on another backend, or as in `image_shape`.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"the Keras backend is {keras.backend.backend()!r}: models are exported on the "
            "TensorFlow backend; save this one as .keras and export it with "
            "KERAS_BACKEND=tensorflow"
        )
    spec = tf.TensorSpec((batch, *image_shape(model)), tf.float32, name=INPUT)

    def scores(images: Any) -> Any:
        return tf.identity(tf.cast(model(images, training=False), tf.float32), name=OUTPUT)

    function = tf.function(scores, autograph=False).get_concrete_function(spec)
    constant = convert_variables_to_constants_v2(function)
    return FrozenGraph(constant, constant.inputs[0].name, constant.outputs[0].name)


def image_shape(model: keras.Model) -> tuple[int, int, int]:
    """Returns (H, W, C) of an artifact's images: the model's input size, or its preset's crop.

    Raises:
        ValueError: The model has several inputs or outputs, its input is not images, or neither
            the model nor a preset fixes their size.
    """
    inputs, outputs = model.input_shape, model.output_shape
    if not isinstance(inputs, tuple) or len(inputs) != 4 or not isinstance(outputs, tuple):
        raise ValueError(
            f"model {model.name!r} takes {inputs} and returns {outputs}: expected one input of "
            "images (B, H, W, C) and one output"
        )
    _, height, width, channels = inputs
    layer = next((layer for layer in model.layers if isinstance(layer, Preprocessing)), None)
    crop = layer.preset.crop if layer else None
    height, width = height or crop, width or crop
    if height is None or width is None:
        raise ValueError(
            f"model {model.name!r} takes images of any size and has no preset that fixes one: "
            "build it with an input_shape"
        )
    return height, width, channels
