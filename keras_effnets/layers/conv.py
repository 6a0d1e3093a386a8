"""Convolution, batch normalisation, activation: the units that every network is made of."""

from typing import Any

import keras

from keras_effnets.layers.chain import Shape, register
from keras_effnets.layers.conv_unit import ConvUnit
from keras_effnets.layers.grouped_conv import GroupedConv2D
from keras_effnets.layers.initializers import FanOutUniform
from keras_effnets.layers.normalization import add_norm


def round_filters(filters: float, divisor: int = 8) -> int:
    """Rounds a scaled width to the nearest multiple of `divisor`.

    The result is at least `divisor` and never more than a tenth below `filters`; the rule of the
    MobileNet papers' code.
    """
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded


@register
class ConvAct(ConvUnit):
    """Convolution with bias and activation: the unit of the networks before batch norm.

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters), or with padding in
    pixels to sides of (H + 2 · padding - kernel_size) // strides + 1.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel, odd; 3 by default.
        strides: Step of the kernel in both directions; 1 by default.
        dilation_rate: Spacing of the kernel's taps; above 1 only with `strides=1`.
        groups: Into which both channels are divided; 1 by default.
        use_bias: Whether the convolution has one; True by default.
        activation: A Keras activation's name, ReLU by default; None for a linear unit.
        padding: `"symmetric"` (default) pads as PyTorch does, `"same"` as TensorFlow does, an
            integer by so many pixels on each side. The first two differ where a stride meets an
            even side. `"bottom_right"` is what `"same"` does there, at an odd side too: that is
            then rounded down.

    Raises:
        ValueError: For an even kernel, an unknown padding, groups that do not divide the filters,
            or both a stride and a dilation.
    """

    options = ("filters", *ConvUnit.options, "groups", "use_bias")

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        groups: int = 1,
        use_bias: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(kernel_size, **kwargs)
        if groups < 1 or filters % groups:
            raise ValueError(
                f"{type(self).__name__}: groups={groups!r} does not divide filters={filters}"
            )
        self.filters = filters
        self.groups = groups
        self.use_bias = use_bias

    def assemble(self, channels: int) -> None:
        """Adds the convolution."""
        if channels % self.groups:
            raise ValueError(
                f"{self.name}: groups={self.groups} does not divide the input's {channels} channels"
            )
        self.add(
            "conv",
            GroupedConv2D if self.groups > 1 else keras.layers.Conv2D,
            self.filters,
            groups=self.groups,
            use_bias=self.use_bias,
            kernel_initializer=FanOutUniform(),
            **self._convolution,
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H', W', filters)."""
        return (*super().compute_output_shape(input_shape)[:-1], self.filters)


@register
class ConvNormAct(ConvAct):
    """Convolution, batch normalisation, activation.

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters). Arguments as for
    `ConvAct`, but `use_bias` is False by default, and further

    Args:
        epsilon: Of the batch normalisation; 1e-5 by default.
        momentum: Of its moving statistics, in Keras's sense; 0.9 by default.
        zero_gamma: Whether its gamma starts as zero, as at the end of a residual branch.
    """

    options = (*ConvAct.options, "epsilon", "momentum", "zero_gamma")

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        use_bias: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        zero_gamma: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, kernel_size, use_bias=use_bias, **kwargs)
        self.epsilon = epsilon
        self.momentum = momentum
        self.zero_gamma = zero_gamma

    def assemble(self, channels: int) -> None:
        """Adds the convolution and its batch norm."""
        super().assemble(channels)
        add_norm(self, gamma_initializer="zeros" if self.zero_gamma else "ones")


@register
class DepthwiseConvNormAct(ConvUnit):
    """Depthwise convolution (one kernel a channel) without bias, batch norm, activation.

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), C). Arguments as for
    `ConvNormAct`, less `filters`, `groups`, `use_bias` and `zero_gamma`.
    """

    options = (*ConvUnit.options, "epsilon", "momentum")

    def __init__(
        self, kernel_size: int = 3, *, epsilon: float = 1e-5, momentum: float = 0.9, **kwargs: Any
    ) -> None:
        super().__init__(kernel_size, **kwargs)
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the convolution and its batch norm."""
        self.add(
            "conv",
            keras.layers.DepthwiseConv2D,
            depthwise_initializer=FanOutUniform(),
            use_bias=False,
            **self._convolution,
        )
        add_norm(self)
