"""AdamW with a learning rate for each variable."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras


@keras.saving.register_keras_serializable(package="keras_effnets")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW with a factor for each variable that scales its step and its weight decay.

    Decoupled Weight Decay Regularization, Loshchilov and Hutter, 2017, arXiv 1711.05101. Without
    factors it equals Keras's AdamW.

    Args:
        learning_rate: A number or a schedule.
        factors: Factors by variable path, as `layer_decay` returns them; the default is 1.
        **kwargs: As for `keras.optimizers.AdamW`.

    Raises:
        ValueError: If a factor is negative or not finite, or, when the optimizer is built, if
            none of the factors is for one of its variables.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        *,
        factors: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(learning_rate, **kwargs)
        for path, factor in (factors or {}).items():
            if not (math.isfinite(factor) and factor >= 0):
                raise ValueError(f"factors[{path!r}]={factor!r}: expected a number of 0 or more")
        # Keras and TensorFlow would wrap a plain dict to track its contents.
        self.factors = MappingProxyType(dict(factors or {}))

    def build(self, variables: Any) -> None:
        """Creates the moments of `variables`."""
        paths = [variable.path for variable in variables]
        if self.factors and paths and not any(path in self.factors for path in paths):
            raise ValueError(
                f"factors: none is for a variable of this model, such as {paths[0]!r}; they are "
                f"for another model's, such as {next(iter(self.factors))!r}"
            )
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Decays a variable and updates it by its gradient."""
        known = self._trainable_variables[self._get_variable_index(variable)]
        rate = keras.ops.cast(learning_rate, variable.dtype) * self.factors.get(known.path, 1.0)
        if self._use_weight_decay(variable):
            decay = keras.ops.cast(self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * decay * rate)
        super().update_step(gradient, variable, rate)

    def _apply_weight_decay(self, variables: Any) -> None:
        """Does nothing; `update_step` applies the decay at the variable's own rate."""

    def get_config(self) -> dict[str, Any]:
        """The arguments to recreate this optimizer."""
        return {**super().get_config(), "factors": dict(self.factors)}
