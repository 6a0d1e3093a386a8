"""Convolution, batch normalisation, activation: the unit that every network is made of."""

from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.initializers import FanOutUniform

PADDINGS = ("symmetric", "same")


def round_filters(filters: float, divisor: int = 8) -> int:
    """Rounds a scaled width to the nearest multiple of `divisor`.

    The result is at least `divisor` and never more than a tenth below `filters`; the rule of the
    MobileNet papers' code.
    """
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded


class _ConvUnit(Chain):
    """What the two units share: all but the convolution itself."""

    options: ClassVar[tuple[str, ...]] = (
        "kernel_size",
        "strides",
        "dilation_rate",
        "activation",
        "padding",
        "epsilon",
        "momentum",
    )

    def __init__(
        self,
        kernel_size: int = 3,
        *,
        strides: int = 1,
        dilation_rate: int = 1,
        activation: str | None = "relu",
        padding: str = "symmetric",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = kernel_size
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.activation = activation
        self.padding = padding
        self.epsilon = epsilon
        self.momentum = momentum
        self._check()

    def _check(self) -> None:
        layer = type(self).__name__
        if self.padding not in PADDINGS:
            raise ValueError(f"{layer}: padding={self.padding!r} is not one of {PADDINGS}")
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

    def _add_conv(self, **common: Any) -> None:
        raise NotImplementedError

    @property
    def _margin(self) -> int:
        """Pixels of explicit padding on each side."""
        # With a stride, `same` pads an even side at the bottom and right only.
        explicit = self.strides > 1 and self.padding == "symmetric"
        return (self.kernel_size - 1) // 2 if explicit else 0

    def build(self, input_shape: Shape) -> None:
        """Makes the sublayers for the padded picture: the bare one may be below the kernel."""
        batch, *sides, channels = input_shape
        padded = (None if side is None else side + 2 * self._margin for side in sides)
        super().build((batch, *padded, channels))

    def assemble(self, channels: int) -> None:
        """Adds the convolution and its batch norm."""
        self._activate = keras.activations.get(self.activation)
        self._add_conv(
            kernel_size=self.kernel_size,
            strides=self.strides,
            padding="valid" if self._margin else "same",
            dilation_rate=self.dilation_rate,
            use_bias=False,
            data_format="channels_last",
        )
        self.add(
            "norm",
            keras.layers.BatchNormalization,
            axis=-1,
            epsilon=self.epsilon,
            momentum=self.momentum,
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Pads, convolves, normalises, activates."""
        if self._margin:
            sides = (self._margin, self._margin)
            inputs = keras.ops.pad(inputs, ((0, 0), sides, sides, (0, 0)))
        return self._activate(super().call(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), C)."""
        batch, *sides, channels = input_shape
        return (
            batch,
            *(None if side is None else -(-side // self.strides) for side in sides),
            channels,
        )


@register
class ConvNormAct(_ConvUnit):
    """Convolution without bias, batch normalisation, activation.

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters).

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel, odd; 3 by default.
        strides: Step of the kernel in both directions; 1 by default.
        dilation_rate: Spacing of the kernel's taps; above 1 only with `strides=1`.
        activation: A Keras activation's name, ReLU by default; None for a linear unit.
        padding: `"symmetric"` (default) pads as PyTorch does, `"same"` as TensorFlow does. They
            differ where a stride meets an even side.
        epsilon: Of the batch normalisation; 1e-5 by default.
        momentum: Of its moving statistics, in Keras's sense; 0.9 by default.

    Raises:
        ValueError: For an even kernel, an unknown padding, or both a stride and a dilation.
    """

    options = ("filters", *_ConvUnit.options)

    def __init__(self, filters: int, kernel_size: int = 3, **kwargs: Any) -> None:
        super().__init__(kernel_size, **kwargs)
        self.filters = filters

    def _add_conv(self, **common: Any) -> None:
        self.add(
            "conv", keras.layers.Conv2D, self.filters, kernel_initializer=FanOutUniform(), **common
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters)."""
        return (*super().compute_output_shape(input_shape)[:-1], self.filters)


@register
class DepthwiseConvNormAct(_ConvUnit):
    """Depthwise convolution (one kernel a channel) without bias, batch norm, activation.

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), C). Arguments as for
    `ConvNormAct`, less `filters`.
    """

    def _add_conv(self, **common: Any) -> None:
        self.add(
            "conv", keras.layers.DepthwiseConv2D, depthwise_initializer=FanOutUniform(), **common
        )
