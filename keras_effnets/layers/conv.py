"""Convolution, batch normalisation, activation: the units that every network is made of."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import keras

from keras_effnets.layers.chain import Chain, FanOutUniform, Shape, register
from keras_effnets.layers.grouped_conv import GroupedConv2D

PADDINGS = ("symmetric", "same", "bottom_right")

_separate: ContextVar[bool] = ContextVar("separate", default=False)


def round_filters(filters: float, divisor: int = 8) -> int:
    """Rounds a scaled width to the nearest multiple of `divisor`.

    The result is at least `divisor` and never more than a tenth below `filters`: the rule in the
    MobileNet papers' code.
    """
    rounded = max(divisor, int(filters + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * filters else rounded


@contextlib.contextmanager
def separate_norms() -> Iterator[None]:
    """Inside this block every convolution and every batch norm is called as a layer of its own.

    Use it to watch what passes through them. A function traced earlier keeps its graph.
    """
    token = _separate.set(True)
    try:
        yield
    finally:
        _separate.reset(token)


def can_fuse(norm: Any, inputs: Any, training: bool | None) -> bool:
    """Whether `fused` can replace a convolution and its batch norm, and is faster.

    True on TensorFlow, in float32, where the norm uses its moving statistics: at inference, and
    when it is frozen while the rest trains. There a norm costs two more passes over the features.
    JAX's compiler and PyTorch's own kernel need no help. Symbolic inputs call each layer, because
    they serve to find out what the layers are.
    """
    return (
        keras.backend.backend() == "tensorflow"
        and not _separate.get()
        and isinstance(norm, keras.layers.BatchNormalization)
        and not (training and norm.trainable)
        and norm.compute_dtype == norm.variable_dtype == "float32"
        and not keras.utils.is_keras_tensor(inputs)
    )


def fused(conv: Any, norm: Any, inputs: Any) -> Any:
    """Computes `norm(conv(inputs))` with scaled kernels and a bias.

    TensorFlow then runs the convolution, the bias and the ReLU after them as one kernel. The
    scaled kernels take as much memory as the kernels themselves while it runs.

    Args:
        conv: A built `Conv2D` or `DepthwiseConv2D`, with or without a bias.
        norm: The built `BatchNormalization` of its outputs.
        inputs: (B, H, W, C), padded.
    """
    scale = norm.gamma * keras.ops.rsqrt(norm.moving_variance + norm.epsilon)
    shift = norm.beta - norm.moving_mean * scale
    if isinstance(conv, keras.layers.DepthwiseConv2D):
        outputs = keras.ops.depthwise_conv(
            inputs,
            conv.kernel * keras.ops.reshape(scale, (-1, 1)),  # (height, width, C, 1)
            strides=conv.strides,
            padding=conv.padding,
            data_format="channels_last",
            dilation_rate=conv.dilation_rate,
        )
    else:
        outputs = conv.convolution_op(inputs, conv.kernel * scale)
    if conv.use_bias:
        shift = shift + conv.bias * scale
    return outputs + shift


def add_norm(layer: Any, **options: Any) -> None:
    """Appends a batch norm to a chain, with the chain's epsilon and momentum."""
    layer.add(
        "norm",
        keras.layers.BatchNormalization,
        axis=-1,
        epsilon=layer.epsilon,
        momentum=layer.momentum,
        **options,
    )


def add_unit(layer: Any, name: str, filters: int, kernel_size: int = 1) -> None:
    """Appends a convolution with ReLU to a chain: batch norm if `layer.norm`, else a bias."""
    if layer.norm:
        options = {"epsilon": layer.epsilon, "momentum": layer.momentum}
        layer.add(name, ConvNormAct, filters, kernel_size, **options)
    else:
        layer.add(name, ConvAct, filters, kernel_size)


class ConvUnit(Chain):
    """Padding, strides and activation: everything but the convolution, which subclasses add."""

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
                f"{layer}: padding={self.padding!r} is neither one of {PADDINGS} nor a number of "
                "pixels"
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
        """Number of pixels that the kernel spans beyond its first."""
        return self.dilation_rate * (self.kernel_size - 1)

    @property
    def _margins(self) -> tuple[int, int] | None:
        """Padding before and after each axis; None where the convolution pads by itself."""
        if self.padding == "same" or (self.padding == "bottom_right" and self.strides == 1):
            return None
        if self.padding == "bottom_right":
            # "same" padding of an even side, which keras.applications uses for every side before
            # a strided depthwise convolution of MobileNetV1.
            overhang = max(self._reach + 1 - self.strides, 0)
            return overhang // 2, overhang - overhang // 2
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
        """Makes the sublayers for the padded shape: the input may be smaller than the kernel."""
        self._activate = keras.activations.get(self.activation)
        batch, *sides, channels = input_shape
        margins = sum(self._margins or ())
        padded = (None if side is None else side + margins for side in sides)
        super().build((batch, *padded, channels))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Pads, applies the sublayers, activates."""
        if self._margins and any(self._margins):
            inputs = keras.ops.pad(inputs, ((0, 0), self._margins, self._margins, (0, 0)))
        if can_fuse(getattr(self, "norm", None), inputs, training):
            return self._activate(fused(self.conv, self.norm, inputs))
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
class ConvAct(ConvUnit):
    """Convolution with bias and activation: the unit of networks from before batch norm.

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters). With padding in
    pixels, H becomes (H + 2 · padding - kernel_size) // strides + 1, and W likewise.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel, odd; 3 by default.
        strides: Step of the kernel in both directions; 1 by default.
        dilation_rate: Spacing of the kernel's taps; above 1 only with `strides=1`.
        groups: Number of groups that input and output channels are divided into; 1 by default.
        use_bias: Whether the convolution has a bias; True by default.
        activation: Name of a Keras activation, ReLU by default; None for a linear unit.
        padding: `"symmetric"` (default) pads as PyTorch does, `"same"` as TensorFlow does, an
            integer by that many pixels on each side. The first two differ where a stride meets an
            even side. `"bottom_right"` pads every side as `"same"` pads an even one there, so that
            odd sides are rounded down.

    Raises:
        ValueError: For an even kernel, an unknown padding, groups that do not divide the filters,
            or both a stride and a dilation.
    """

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

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters). Takes the arguments of
    `ConvAct`, with `use_bias` False by default, and

    Args:
        epsilon: The batch norm's epsilon; 1e-5 by default.
        momentum: Momentum of its moving statistics, in Keras's sense; 0.9 by default.
        zero_gamma: Whether its gamma starts as zero, as at the end of a residual branch.
    """

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
    """Depthwise convolution (one kernel per channel) without bias, batch norm, activation.

    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), C). Takes the arguments of
    `ConvNormAct` except `filters`, `groups`, `use_bias` and `zero_gamma`.
    """

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


@register
class NormAct(Chain):
    """Batch normalisation and activation: they precede a convolution in pre-activation networks.

    Keeps (B, H, W, C).

    Args:
        activation: Name of a Keras activation, ReLU by default.
        epsilon, momentum: As for `ConvNormAct`.
    """

    def __init__(
        self,
        *,
        activation: str = "relu",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = activation
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the batch norm."""
        self._activate = keras.activations.get(self.activation)
        add_norm(self)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Normalises and activates."""
        return self._activate(self.norm(inputs))
