"""Networks whose variables have shapes and no values yet.

Keras makes variables without values inside a `StatelessScope`, and asks their initialisers
afterwards. Two things follow: a variable can start as the value from a file, with no random
number drawn and nothing assigned twice; and a network can be asked for its shapes without any
memory being spent on it. This is the one place that knows how Keras does that.
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
"""What gives each weight its value; called when the value is needed, so that one is in memory."""


def variables_by_path(model: keras.Model) -> dict[str, Any]:
    """Every weight of `model` by its path below the model, in the order of its layers.

    The path is Keras's own (`stage2_block0/expand/conv/kernel`), less whatever scope the model
    was built in.
    """
    found: dict[str, Any] = {}
    for layer in model.layers:
        if layer.weights:
            scope = layer.path.removesuffix(layer.name)
            found.update((weight.path.removeprefix(scope), weight) for weight in layer.weights)
    return found


@contextlib.contextmanager
def _without_values() -> Iterator[list[Any]]:
    """Variables made in this block get no values; yields the list that they wait in."""
    key = "uninitialized_variables"
    others = global_state.get_global_attribute(key, [])
    waiting: list[Any] = []
    global_state.set_global_attribute(key, waiting)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield waiting
    finally:
        # Whatever happens, Keras must not come back to them when some other scope ends.
        global_state.set_global_attribute(key, others)


def sketch(build: Callable[[], keras.Model]) -> keras.Model:
    """The network that `build` makes, its weights with shapes and no values: nothing to run."""
    with _without_values():
        return build()


def outline(build: Callable[[], keras.Model]) -> dict[str, tuple[int, ...]]:
    """The shape of every weight of the network that `build` makes, with nothing allocated."""
    return {path: tuple(v.shape) for path, v in variables_by_path(sketch(build)).items()}


def build_from(build: Callable[[], keras.Model], start: Callable[[Shapes], Values]) -> keras.Model:
    """Builds a network whose weights start as the values that `start` finds for its shapes.

    Weights that get no value start as they would have.
    """
    with _without_values() as waiting:
        model = build()
        # Layers before `input_tensor` are the caller's, and have their values already.
        new = {id(variable) for variable in waiting}
        weights = {path: v for path, v in variables_by_path(model).items() if id(v) in new}
        values = start({path: tuple(weight.shape) for path, weight in weights.items()})
        for path, value in values.items():
            weights[path]._initializer = _Start(value)
    for variable in waiting:
        variable._deferred_initialize()
    return model


class _Start:
    """An initialiser that gives one array."""

    def __init__(self, value: Callable[[], np.ndarray]) -> None:
        self.value = value

    def __call__(self, shape: Any, dtype: Any = None) -> np.ndarray:
        # A backend may keep the array itself: it must not be a view of a file that can go away.
        return np.require(self.value(), np.dtype(dtype), ["C", "W", "O"])


def count_parameters(shapes: Shapes) -> int:
    """Trainable parameters among `shapes`: all but the moving statistics."""
    statistics = ("/moving_mean", "/moving_variance")
    return sum(math.prod(shape) for path, shape in shapes.items() if not path.endswith(statistics))
