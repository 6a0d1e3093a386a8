"""The block of MobileNetV1: one convolution over space, then one over channels."""

from typing import Any

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.conv import ConvNormAct, DepthwiseConvNormAct


@register
class DepthwiseSeparable(Chain):
    """Depthwise 3×3 and pointwise 1×1, each with batch norm and activation; no skip.

    MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, Howard et
    al., 2017, arXiv 1704.04861. Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides),
    filters); `padding="bottom_right"` rounds the sides down.

    Args:
        filters: Output channels.
        strides: Step of the depthwise convolution, 1 or 2.
        dilation_rate: Dilation of the depthwise convolution; above 1 only with `strides=1`.
        activation: Activation after each convolution.
        padding, epsilon, momentum: As for `ConvNormAct`.

    Raises:
        ValueError: For strides other than 1 or 2.
    """

    def __init__(
        self,
        filters: int,
        *,
        strides: int = 1,
        dilation_rate: int = 1,
        activation: str = "relu6",
        padding: str = "symmetric",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if strides not in (1, 2):
            raise ValueError(f"DepthwiseSeparable: strides={strides!r} is neither 1 nor 2")
        self.filters = filters
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.activation = activation
        self.padding = padding
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the two convolutions."""
        common = {
            "activation": self.activation,
            "padding": self.padding,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
        }
        self.add(
            "depthwise",
            DepthwiseConvNormAct,
            strides=self.strides,
            dilation_rate=self.dilation_rate,
            **common,
        )
        self.add("pointwise", ConvNormAct, self.filters, 1, **common)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H', W', filters); `padding` decides how H / strides is rounded."""
        batch, *sides, _ = input_shape
        extra = 0 if self.padding == "bottom_right" else self.strides - 1
        halved = (None if side is None else (side + extra) // self.strides for side in sides)
        return (batch, *halved, self.filters)
