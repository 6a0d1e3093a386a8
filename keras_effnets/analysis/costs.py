"""The cost of a network for one image: parameters, multiply-adds, activations.

Networks are sketched: their weights have shapes and nothing is allocated.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras

from keras_effnets.analysis.multiply_adds import multiply_adds
from keras_effnets.layers import nested_layers
from keras_effnets.models.registry import get_builder, model_info
from keras_effnets.plan.deferred import count_parameters, sketch, variables_by_path

BYTES = 4
"""Bytes of one value in single precision."""


class Cost(NamedTuple):
    """The cost of a network for one image."""

    params: int
    """Trainable parameters."""
    macs: int
    """Multiply-adds, as papers count them."""
    activations: int
    """Values in the outputs of all layers that have weights."""


def cost(build: Callable[[], keras.Model]) -> Cost:
    """The cost of the network that `build` makes; nothing is allocated."""
    model = sketch(build)
    shapes = {path: tuple(v.shape) for path, v in variables_by_path(model).items()}
    return Cost(count_parameters(shapes), multiply_adds(model), count_activations(model))


def model_cost(name: str) -> Cost:
    """The cost of a network by name, at its own input size.

    Takes up to seconds per network. The tables `model_counts.csv` and `activations.csv` hold the
    same numbers; tests compare them.

    Raises:
        ValueError: The name is unknown.
    """
    return cost(default_build(name))


def default_build(name: str) -> Callable[[], keras.Model]:
    """A function that builds a network at its own input size, with random weights.

    Raises:
        ValueError: The name is unknown.
    """
    side = model_info(name).side
    return partial(get_builder(name), weights=None, input_shape=(side, side, 3))


def layers_cost(layers: Sequence[Any], shape: tuple[int, int, int]) -> Cost:
    """The cost of new layers applied one after another to maps of `shape`, (H, W, C)."""

    def build() -> keras.Model:
        inputs = x = keras.Input(shape)
        for layer in layers:
            x = layer(x)
        return keras.Model(inputs, x)

    return cost(build)


def count_activations(model: keras.Model) -> int:
    """Counts the values in the outputs of all layers with weights of their own, for one image.

    Those are convolutions, batch norms and dense layers. torchinfo counts the same, and doubles
    it for the gradients of training.
    """
    return sum(map(_outputs, nested_layers(model)))


def _outputs(layer: Any) -> int:
    # A block's variables belong to the layers in it; only those have variables of their own.
    if not (layer._trainable_variables or layer._non_trainable_variables):
        return 0
    return math.prod(layer.compute_output_shape(layer.get_build_config()["input_shape"])[1:])
