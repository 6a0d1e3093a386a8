"""Convolution, batch normalisation, activation: the units that every network is made of."""

from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.grouped_conv import GroupedConv2D
from keras_effnets.layers.initializers import FanOutUniform

PADDINGS = ("symmetric", "same", "bottom_right")


def round_filters(filters: float, divisor: int = 8) -> int:
    """Rounds a scaled width to the nearest multiple of `divisor`.

    The result is at least `divisor` and never more than a tenth below `filters`; the rule of the
    MobileNet papers' code.
    """
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded


def bottom_right_margins(reach: int, strides: int) -> tuple[int, int] | None:
    """What "same" pads at an even side, before and behind; None where there is no stride.

    keras.applications pads so before a depthwise stride of MobileNetV1, whatever the side is.

    Args:
        reach: Pixels that the kernel spans beyond its first.
        strides: Step of the kernel.
    """
    if strides == 1:
        return None
    overhang = max(reach + 1 - strides, 0)
    return overhang // 2, overhang - overhang // 2


def add_norm(layer: Any, **options: Any) -> None:
    """Appends a batch norm to a chain that has an epsilon and a momentum."""
    layer.add(
        "norm",
        keras.layers.BatchNormalization,
        axis=-1,
        epsilon=layer.epsilon,
        momentum=layer.momentum,
        **options,
    )


class _ConvUnit(Chain):
    """What the units share: all but the convolution itself."""

    options: ClassVar[tuple[str, ...]] = (
        "kernel_size",
        "strides",
        "dilation_rate",
        "activation",
        "padding",
    )

    def __init__(
        self,
        kernel_size: int = 3,
        *,
        strides: int = 1,
        dilation_rate: int = 1,
        activation: str | None = "relu",
        padding: str | int = "symmetric",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.activation = activation
        self.padding = padding
        self._check()

    def _check(self) -> None:
        layer = type(self).__name__
        pixels = isinstance(self.padding, int) and self.padding >= 0
        if self.padding not in PADDINGS and not pixels:
            raise ValueError(
                f"{layer}: padding={self.padding!r} is not one of {PADDINGS}, nor pixels"
            )
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ValueError(f"{layer}: kernel_size={self.kernel_size!r} is not a positive odd int")
        if self.strides < 1 or self.dilation_rate < 1:
            raise ValueError(
                f"{layer}: strides={self.strides!r} and dilation_rate={self.dilation_rate!r} "
                "must be 1 or more"
            )
        if self.strides > 1 and self.dilation_rate > 1:
            raise ValueError(
                f"{layer}: strides={self.strides} with dilation_rate={self.dilation_rate}: "
                "only one of them may be above 1"
            )

    @property
    def _reach(self) -> int:
        """Pixels that the kernel spans beyond its first."""
        return self.dilation_rate * (self.kernel_size - 1)

    @property
    def _margins(self) -> tuple[int, int] | None:
        """Explicit padding before and behind; None where the convolution pads by itself."""
        if self.padding == "same":
            return None
        if self.padding == "bottom_right":
            return bottom_right_margins(self._reach, self.strides)
        margin = self._reach // 2 if self.padding == "symmetric" else int(self.padding)
        # Without a stride the convolution's own padding is the same, and cheaper.
        return None if self.strides == 1 and 2 * margin == self._reach else (margin, margin)

    @property
    def _convolution(self) -> dict[str, Any]:
        """Arguments of the Keras layer that convolves."""
        return {
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": "same" if self._margins is None else "valid",
            "dilation_rate": self.dilation_rate,
            "data_format": "channels_last",
        }

    def build(self, input_shape: Shape) -> None:
        """Makes the sublayers for the padded picture: the bare one may be below the kernel."""
        self._activate = keras.activations.get(self.activation)
        batch, *sides, channels = input_shape
        margins = sum(self._margins or ())
        padded = (None if side is None else side + margins for side in sides)
        super().build((batch, *padded, channels))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Pads, convolves and what follows, activates."""
        if self._margins and any(self._margins):
            inputs = keras.ops.pad(inputs, ((0, 0), self._margins, self._margins, (0, 0)))
        return self._activate(super().call(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H', W', C); H' is ceil(H / strides) but for padding in pixels."""
        batch, *sides, channels = input_shape
        return (batch, *(None if side is None else self._shrunk(side) for side in sides), channels)

    def _shrunk(self, side: int) -> int:
        if self._margins is None:
            return -(-side // self.strides)
        return (side + sum(self._margins) - self._reach - 1) // self.strides + 1


@register
class ConvAct(_ConvUnit):
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

    options = ("filters", *_ConvUnit.options, "groups", "use_bias")

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
class DepthwiseConvNormAct(_ConvUnit):
    """Depthwise convolution (one kernel a channel) without bias, batch norm, activation.

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), C). Arguments as for
    `ConvNormAct`, less `filters`, `groups`, `use_bias` and `zero_gamma`.
    """

    options = (*_ConvUnit.options, "epsilon", "momentum")

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
