"""The hidden layers of the classifiers before global pooling."""

from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.initializers import FanOutUniform


@register
class DenseAct(Chain):
    """Dropout, a dense layer with bias, activation: (B, C) to (B, units).

    Dropout is off in a frozen layer.

    Args:
        units: Outputs.
        dropout_rate: Share of the inputs dropped while training, in [0, 1).
        activation: A Keras activation's name, ReLU by default.

    Raises:
        ValueError: For a rate outside [0, 1).
    """

    options: ClassVar[tuple[str, ...]] = ("units", "dropout_rate", "activation")

    def __init__(
        self, units: int, *, dropout_rate: float = 0.0, activation: str = "relu", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= dropout_rate < 1:
            raise ValueError(f"DenseAct: dropout_rate={dropout_rate!r} is not in [0, 1)")
        self.units = units
        self.dropout_rate = dropout_rate
        self.activation = activation

    def assemble(self, channels: int) -> None:
        """Adds dropout and the dense layer."""
        self.add("dropout", keras.layers.Dropout, self.dropout_rate)
        self.add(
            "dense",
            keras.layers.Dense,
            self.units,
            activation=self.activation,
            kernel_initializer=FanOutUniform(),
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The activated outputs."""
        return self.dense(self.dropout(inputs, training=bool(training) and self.trainable))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, C) to (B, units)."""
        return (*input_shape[:-1], self.units)
