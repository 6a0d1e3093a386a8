"""Multiply-adds of a network: those of its convolutions and dense layers, as papers count them."""

import math
from typing import Any

import keras

from keras_effnets.layers import nested_layers


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds for one picture of the side that `model` was built for.

    Convolutions and dense layers count; biases, normalisation, activations and pooling do not.

    Raises:
        ValueError: For a model whose pictures may be of any side.
    """
    return sum(map(_of_layer, nested_layers(model)))


def _of_layer(layer: Any) -> int:
    if not isinstance(
        layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D | keras.layers.Dense
    ):
        return 0
    shape = layer.get_build_config()["input_shape"]
    outputs = layer.compute_output_shape(shape)[1:]
    if None in outputs:
        raise ValueError(f"{layer.path}: multiply-adds depend on the picture's side: give one")
    # Each kernel value is used once at each place of the output; a depthwise kernel too.
    return math.prod(outputs[:-1]) * math.prod(layer.kernel.shape)
