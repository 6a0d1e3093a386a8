"""AdamW whose learning rate differs from weight to weight."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import keras

from keras_effnets.models.surgery.learning_rates import layer_decay

__all__ = ["LayerwiseAdamW", "layer_decay"]


@keras.saving.register_keras_serializable(package="keras_effnets")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW with a factor on each variable's learning rate, weight decay included.

    Decoupled Weight Decay Regularization, Loshchilov and Hutter, 2017, arXiv 1711.05101. With no
    factors, or all of them 1, it is Keras's.

    Args:
        learning_rate: A number or a schedule.
        factors: By the variables' paths, as `layer_decay` gives them; variables without one have
            the factor 1.
        **kwargs: As for `keras.optimizers.AdamW`.

    Raises:
        ValueError: For a factor that is negative or not finite; when it is built, if no variable
            has a factor though there are some.
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
                raise ValueError(f"factors[{path!r}]={factor!r} is not a number of 0 or more")
        # Keras and TensorFlow would wrap a dict to track what is in it.
        self.factors = MappingProxyType(dict(factors or {}))

    def build(self, variables: Any) -> None:
        """Makes the moments of `variables`."""
        paths = [variable.path for variable in variables]
        if self.factors and paths and not any(path in self.factors for path in paths):
            raise ValueError(
                f"factors are for {next(iter(self.factors))!r} and others, and none for the "
                f"variables to train, such as {paths[0]!r}: are they another model's?"
            )
        super().build(variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Decays one variable, and moves it by its gradient."""
        known = self._trainable_variables[self._get_variable_index(variable)]
        rate = keras.ops.cast(learning_rate, variable.dtype) * self.factors.get(known.path, 1.0)
        if self._use_weight_decay(variable):
            decay = keras.ops.cast(self.weight_decay, variable.dtype)
            self.assign_sub(variable, variable * decay * rate)
        super().update_step(gradient, variable, rate)

    def _apply_weight_decay(self, variables: Any) -> None:
        """Leaves it to `update_step`, which knows the variable's own rate."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this optimiser again."""
        return {**super().get_config(), "factors": dict(self.factors)}
