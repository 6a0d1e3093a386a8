"""How much a network holds while it looks at one picture.

Counted are the outputs of every layer that has weights: convolutions, batch norms, dense layers.
That is what torchinfo counts too, which doubles it for the gradients of training.
"""

import csv
import functools
import math
from functools import partial
from importlib.resources import files
from typing import Any

import keras

from keras_effnets.layers import nested_layers
from keras_effnets.models.registry import get_builder, model_info
from keras_effnets.plan.deferred import sketch

BYTES = 4
"""Of a value in single precision."""


def activations(name: str) -> int:
    """Values in the outputs of all layers with weights, for one picture of the network's side.

    From the table beside this module; `count_activations` finds them too, in up to seconds a
    network, and tests compare the two.

    Raises:
        ValueError: For a name that is not in the table.
    """
    if name not in _table():
        raise ValueError(f"{name!r} is not in the table of activations")
    return _table()[name]


def memory(name: str) -> int:
    """Bytes of the parameters and of the activations for one picture, in single precision."""
    return BYTES * (activations(name) + model_info(name).parameters)


@functools.cache
def _table() -> dict[str, int]:
    table = files(__package__).joinpath("activations.csv").read_text("utf-8")
    return {row["model"]: int(row["activations"]) for row in csv.DictReader(table.splitlines())}


def count_activations(name: str) -> int:
    """Counts what `activations` looks up, on a network that is sketched and not allocated.

    Raises:
        ValueError: For an unknown name.
    """
    side = model_info(name).side
    return activations_of(
        sketch(partial(get_builder(name), weights=None, input_shape=(side, side, 3)))
    )


def activations_of(model: keras.Model) -> int:
    """Values in the outputs of all layers of `model` with weights of their own, for one picture."""
    return sum(map(_outputs, nested_layers(model)))


def _outputs(layer: Any) -> int:
    # A block's variables are those of the layers in it: only these have some of their own.
    if not (layer._trainable_variables or layer._non_trainable_variables):
        return 0
    return math.prod(layer.compute_output_shape(layer.get_build_config()["input_shape"])[1:])
