"""A model as one TensorFlow graph of constants: what the converters of other runtimes read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras

from keras_effnets.layers import Preprocessing

INPUT, OUTPUT = "images", "scores"
"""What every artifact calls its input and its output."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A graph without variables, and the names in it.

    Attributes:
        function: TensorFlow's concrete function, weights inside.
        input: The name of the tensor that takes the pictures.
        output: The name of the tensor that gives the scores.
    """

    function: Any
    input: str
    output: str

    @property
    def graph_def(self) -> Any:
        """The graph as TensorFlow's protocol buffer."""
        return self.function.graph.as_graph_def()


def freeze_graph(model: keras.Model, batch: int | None = None) -> Frozen:
    """Traces a model for inference, and makes constants of its weights.

    Args:
        model: One input of pictures, one output; on the TensorFlow backend.
        batch: Of the input; None for any.

    Raises:
        ValueError: For another backend, or as `picture_shape` does.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"the Keras backend is {keras.backend.backend()!r}: models are exported on the "
            "TensorFlow backend; save this one as .keras, and export it where "
            "KERAS_BACKEND=tensorflow"
        )
    taken = tf.TensorSpec((batch, *picture_shape(model)), tf.float32, name=INPUT)

    def scores(images: Any) -> Any:
        return tf.identity(tf.cast(model(images, training=False), tf.float32), name=OUTPUT)

    function = tf.function(scores, autograph=False).get_concrete_function(taken)
    constant = convert_variables_to_constants_v2(function)
    return Frozen(constant, constant.inputs[0].name, constant.outputs[0].name)


def picture_shape(model: keras.Model) -> tuple[int, int, int]:
    """(H, W, C) of the pictures that an artifact takes: the model's sides, or its preset's crop.

    Raises:
        ValueError: If the model has several inputs or outputs, or takes no pictures, or neither
            it nor a preset says how large they are.
    """
    takes, gives = model.input_shape, model.output_shape
    if not isinstance(takes, tuple) or len(takes) != 4 or not isinstance(gives, tuple):
        raise ValueError(
            f"model {model.name!r} takes {takes} and gives {gives}: expected one input of pictures "
            "(B, H, W, C) and one output"
        )
    _, height, width, channels = takes
    layer = next((layer for layer in model.layers if isinstance(layer, Preprocessing)), None)
    crop = layer.preset.crop if layer else None
    height, width = height or crop, width or crop
    if height is None or width is None:
        raise ValueError(
            f"model {model.name!r} takes pictures of any size and has no preset that names one: "
            "build it with an input_shape"
        )
    return height, width, channels
