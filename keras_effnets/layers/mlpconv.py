"""The block of Network In Network: a small perceptron that slides over the image."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_effnets.layers.chain import Chain, Shape, check_rate, register
from keras_effnets.layers.conv import ConvAct


@register
class MlpConv(Chain):
    """Dropout, a convolution, then 1×1 convolutions, ReLU after each.

    Network In Network, Lin et al., 2013, arXiv 1312.4400, section 3.1. Maps (B, H, W, C) to
    (B, H', W', filters[-1]), with the sides of `ConvAct`. A frozen layer does not drop.

    Args:
        filters: Output channels of each convolution, one or more.
        kernel_size: Side of the first convolution's kernel, odd.
        strides: Step of the first convolution.
        padding: Padding of the first convolution, as for `ConvAct`.
        dropout_rate: Share of the inputs dropped while training, in [0, 1).

    Raises:
        ValueError: For no filters, a rate outside [0, 1), or an argument that `ConvAct` rejects.
    """

    def __init__(
        self,
        filters: Sequence[int],
        kernel_size: int = 3,
        *,
        strides: int = 1,
        padding: str | int = "symmetric",
        dropout_rate: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not filters or min(filters) < 1:
            raise ValueError(f"MlpConv: filters={filters!r} are not one or more integers above 0")
        check_rate(self, "dropout_rate", dropout_rate)
        self.filters = list(filters)
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.dropout_rate = dropout_rate

    def assemble(self, channels: int) -> None:
        """Adds dropout and `conv1`, `conv2` and so on."""
        self.add("dropout", keras.layers.Dropout, self.dropout_rate)
        first, *others = self.filters
        self.add(
            "conv1", ConvAct, first, self.kernel_size, strides=self.strides, padding=self.padding
        )
        for number, filters in enumerate(others, start=2):
            self.add(f"conv{number}", ConvAct, filters, 1)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The last convolution's outputs."""
        dropout, *convolutions = self.sublayers()
        inputs = dropout(inputs, training=bool(training) and self.trainable)
        for layer in convolutions:
            inputs = layer(inputs)
        return inputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H', W', filters[-1])."""
        first = ConvAct(1, self.kernel_size, strides=self.strides, padding=self.padding)
        return (*first.compute_output_shape(input_shape)[:-1], self.filters[-1])
