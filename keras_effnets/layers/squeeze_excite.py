"""Squeeze-and-excitation: attention over channels."""

from typing import Any

import keras

from keras_effnets.layers.chain import Chain, FanOutUniform, Shape, register


@register
class SqueezeExcite(Chain):
    """Scales each channel by a gate computed from the means of all channels.

    Squeeze-and-Excitation Networks, Hu et al., 2017, arXiv 1709.01507: global average, a 1×1
    convolution down to `squeeze_filters`, one back up, a sigmoid. Keeps (B, H, W, C). Both
    convolutions have biases.

    Args:
        squeeze_filters: Channels between the two convolutions.
        activation: Activation between them.
        gate_activation: Activation after them.

    Raises:
        ValueError: If `squeeze_filters` is below 1.
    """

    def __init__(
        self,
        squeeze_filters: int,
        *,
        activation: str = "relu",
        gate_activation: str = "sigmoid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if squeeze_filters < 1:
            raise ValueError(f"SqueezeExcite: squeeze_filters={squeeze_filters!r} is below 1")
        self.squeeze_filters = squeeze_filters
        self.activation = activation
        self.gate_activation = gate_activation

    def assemble(self, channels: int) -> None:
        """Adds the two convolutions.

        The means keep two axes of length one. A convolution over them converts to every runtime;
        a dense layer would add reshapes.
        """
        common = {
            "kernel_size": 1,
            "kernel_initializer": FanOutUniform(),
            "data_format": "channels_last",
        }
        self.add(
            "reduce",
            keras.layers.Conv2D,
            self.squeeze_filters,
            activation=self.activation,
            **common,
        )
        self.add("expand", keras.layers.Conv2D, channels, activation=self.gate_activation, **common)

    def build_sublayers(self, input_shape: Shape) -> None:
        """Builds the convolutions for the pooled features."""
        batch, *_, channels = input_shape
        super().build_sublayers((batch, 1, 1, channels))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The input times its gate."""
        return inputs * super().call(keras.ops.mean(inputs, axis=(1, 2), keepdims=True))
