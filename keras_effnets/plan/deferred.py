"""Networks whose variables have shapes and no values yet.

Inside a `StatelessScope` Keras creates variables without values, and calls their initialisers
afterwards. So a variable can start with its value from a file, with no random number drawn and
nothing assigned twice; and a network's shapes can be read without allocating memory. Only this
module relies on how Keras does that.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras.src.backend.common import global_state

Shapes = Mapping[str, tuple[int, ...]]
Values = Mapping[str, Callable[[], np.ndarray]]
"""Functions that return each weight's value, called in turn so that one is in memory at a time."""


def variables_by_path(model: keras.Model) -> dict[str, Any]:
    """Returns every weight of `model` by its path within the model, in the order of its layers.

    The path is Keras's own (`stage2_block0/expand/conv/kernel`), without the scope in which the
    model was built.
    """
    found: dict[str, Any] = {}
    for layer in model.layers:
        if layer.weights:
            scope = layer.path.removesuffix(layer.name)
            found.update((weight.path.removeprefix(scope), weight) for weight in layer.weights)
    return found


@contextlib.contextmanager
def _without_values() -> Iterator[list[Any]]:
    """Creates variables without values in this block; yields the list of them."""
    key = "uninitialized_variables"
    earlier = global_state.get_global_attribute(key, [])
    waiting: list[Any] = []
    global_state.set_global_attribute(key, waiting)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield waiting
    finally:
        # Even after an error, Keras must not initialise them when another scope ends.
        global_state.set_global_attribute(key, earlier)


def sketch(build: Callable[[], keras.Model]) -> keras.Model:
    """Returns the network that `build` makes; its weights have shapes only, so it can't run."""
    with _without_values():
        return build()


def outline(build: Callable[[], keras.Model]) -> dict[str, tuple[int, ...]]:
    """Returns the shape of every weight of the network that `build` makes; allocates nothing."""
    return {path: tuple(v.shape) for path, v in variables_by_path(sketch(build)).items()}


def build_from(build: Callable[[], keras.Model], start: Callable[[Shapes], Values]) -> keras.Model:
    """Builds a network whose weights start with the values that `start` returns for its shapes.

    Weights without a value there are initialised as usual.
    """
    with _without_values() as waiting:
        model = build()
        # Layers before `input_tensor` are the caller's and already have values.
        new = {id(variable) for variable in waiting}
        weights = {path: v for path, v in variables_by_path(model).items() if id(v) in new}
        values = start({path: tuple(weight.shape) for path, weight in weights.items()})
        for path, value in values.items():
            weights[path]._initializer = _Start(value)
    for variable in waiting:
        variable._deferred_initialize()
    return model


class _Start:
    """An initialiser that returns one array."""

    def __init__(self, value: Callable[[], np.ndarray]) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        # A backend may keep the array itself, so it must not be a view of a file that may close.
        return np.require(self.value(), np.dtype(dtype), ["C", "W", "O"])


def count_parameters(shapes: Shapes) -> int:
    """Returns the number of trainable parameters: all except moving statistics."""
    statistics = ("/moving_mean", "/moving_variance")
    return sum(math.prod(shape) for path, shape in shapes.items() if not path.endswith(statistics))
