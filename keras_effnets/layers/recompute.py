"""Spending time for memory: what a gradient needs is computed again instead of kept."""

from collections.abc import Callable, Sequence
from typing import Any

import keras


def recomputed(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    parameters: Sequence[Any],
    state: Sequence[Any],
) -> Any:
    """`function(*inputs)`, of which only the inputs are kept for the gradient.

    `keras.remat` runs a function twice, and whatever that assigns, such as a batch norm's moving
    statistics, is assigned twice. Here both runs start from the same values, and what the first
    one made of `state` is assigned once, outside.

    Args:
        function: Of tensors, to a tensor. It runs again when its layer's call is long over, so
            that it must hand `training` down by itself. It draws no random numbers.
        inputs: Its arguments.
        parameters: The variables that it reads only.
        state: Those that it assigns.
    """
    variables = [*parameters, *state]

    def run(*tensors: Any) -> tuple[Any, ...]:
        mapping = list(zip(variables, tensors[: len(variables)], strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = function(*tensors[len(variables) :])
        # Statistics lead to no loss: without this their gradients, zeros, would be computed too.
        return outputs, *(
            keras.ops.stop_gradient(scope.get_current_value(variable)) for variable in state
        )

    values = [keras.ops.convert_to_tensor(variable.value) for variable in variables]
    # PyTorch assigns in place, and the second run is to see what the first one saw.
    values[len(parameters) :] = map(keras.ops.copy, values[len(parameters) :])
    outputs, *assigned = keras.remat(run)(*values, *inputs)
    for variable, value in zip(state, assigned, strict=True):
        variable.assign(value)
    return outputs
