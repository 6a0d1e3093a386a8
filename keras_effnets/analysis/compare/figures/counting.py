"""What a network costs, without its weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras

from keras_effnets.analysis.compare.memory import activations_of
from keras_effnets.analysis.multiply_adds import multiply_adds
from keras_effnets.plan.deferred import count_parameters, sketch, variables_by_path


class Cost(NamedTuple):
    """Of a network, for one picture."""

    params: int
    macs: int
    activations: int


def cost(build: Callable[[], keras.Model]) -> Cost:
    """Of what `build` makes, nothing of which is allocated."""
    model = sketch(build)
    shapes = {path: tuple(v.shape) for path, v in variables_by_path(model).items()}
    return Cost(count_parameters(shapes), multiply_adds(model), activations_of(model))


def cost_of_layers(layers: Sequence[Any], shape: tuple[int, int, int]) -> Cost:
    """Of new layers in a row on maps (H, W, C)."""

    def build() -> keras.Model:
        inputs = x = keras.Input(shape)
        for layer in layers:
            x = layer(x)
        return keras.Model(inputs, x)

    return cost(build)
