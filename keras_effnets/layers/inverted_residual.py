"""The mobile blocks: narrow input and output, a wide depthwise convolution between them."""

from typing import Any

from keras_effnets.layers.chain import Chain, Shape, register, strided_shape
from keras_effnets.layers.conv import ConvNormAct, DepthwiseConvNormAct
from keras_effnets.layers.squeeze_excite import SqueezeExcite
from keras_effnets.layers.stochastic_depth import StochasticDepth


@register
class InvertedResidual(Chain):
    """Expand 1×1, depthwise k×k, project 1×1, and a skip where shapes allow.

    MobileNetV2: Inverted Residuals and Linear Bottlenecks, Sandler et al., 2018, arXiv
    1801.04381. Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters). The
    projection is linear. There is a skip when `strides` is 1 and C equals `filters`, and no
    expansion layer when `expansion` is 1.

    Args:
        filters: Output channels.
        kernel_size: Side of the depthwise kernel, odd.
        strides: Step of the depthwise convolution.
        expansion: Factor of the wide part's `round(expansion * C)` channels; 1 or more.
        dilation_rate: Dilation of the depthwise convolution; above 1 only with `strides=1`.
        activation: Activation after the expansion and after the depthwise convolution.
        drop_path: Probability of dropping the branch while training; used only with a skip.
        padding, epsilon, momentum: As for `ConvNormAct`.

    Raises:
        ValueError: For an expansion below 1.
    """

    def __init__(
        self,
        filters: int,
        *,
        kernel_size: int = 3,
        strides: int = 1,
        expansion: float = 6,
        dilation_rate: int = 1,
        activation: str = "relu6",
        drop_path: float = 0.0,
        padding: str = "symmetric",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if expansion < 1:
            raise ValueError(f"{type(self).__name__}: expansion={expansion!r} is below 1")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.expansion = expansion
        self.dilation_rate = dilation_rate
        self.activation = activation
        self.drop_path = drop_path
        self.padding = padding
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the branch's layers for `channels` input channels."""
        self.has_skip = self.strides == 1 and channels == self.filters
        if self.expansion != 1:
            self.add(
                "expand",
                ConvNormAct,
                round(self.expansion * channels),
                1,
                activation=self.activation,
                **self._unit,
            )
        self.add(
            "depthwise",
            DepthwiseConvNormAct,
            self.kernel_size,
            strides=self.strides,
            dilation_rate=self.dilation_rate,
            activation=self.activation,
            **self._unit,
        )
        self.add_attention(channels)
        self.add("project", ConvNormAct, self.filters, 1, activation=None, **self._unit)
        self.add_drop()

    @property
    def _unit(self) -> dict[str, Any]:
        """Arguments that all convolutions share."""
        return {"padding": self.padding, "epsilon": self.epsilon, "momentum": self.momentum}

    def add_drop(self) -> None:
        """Adds stochastic depth at the end of a branch that has a skip and a rate."""
        if self.has_skip and self.drop_path:
            self.add("branch_drop", StochasticDepth, self.drop_path)

    def add_attention(self, channels: int) -> None:
        """Adds the layers between depthwise convolution and projection: none here."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The branch, plus the input where there is a skip."""
        outputs = super().call(inputs)
        return outputs + inputs if self.has_skip else outputs

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters)."""
        return strided_shape(input_shape, self.strides, self.filters)


@register
class InvertedResidualSE(InvertedResidual):
    """An inverted residual with the squeeze-and-excitation of MobileNetV3.

    Searching for MobileNetV3, Howard et al., 2019, arXiv 1905.02244. The squeeze-and-excitation
    follows the depthwise convolution's activation, with ReLU inside and a hard sigmoid as its gate.

    Args:
        filters: Output channels.
        squeeze_filters: Channels inside the squeeze-and-excitation.
        activation: Activation after the expansion and after the depthwise convolution.
        **kwargs: As for `InvertedResidual`.
    """

    def __init__(
        self, filters: int, *, squeeze_filters: int, activation: str = "hard_swish", **kwargs: Any
    ) -> None:
        super().__init__(filters, activation=activation, **kwargs)
        self.squeeze_filters = squeeze_filters

    def add_attention(self, channels: int) -> None:
        """Adds the squeeze-and-excitation."""
        self.add(
            "squeeze_excite",
            SqueezeExcite,
            self.squeeze_filters,
            activation="relu",
            gate_activation="hard_sigmoid",
        )


@register
class FusedMBConv(InvertedResidual):
    """Expand with a k×k convolution instead of 1×1 and depthwise k×k, project 1×1, and a skip.

    EfficientNetV2: Smaller Models and Faster Training, Tan and Le, 2021, arXiv 2104.00298. Where
    `expansion` is 1 there is no projection: the activated k×k convolution is the output.

    Args:
        filters: Output channels.
        activation: Activation after the k×k convolution.
        **kwargs: As for `InvertedResidual`.
    """

    def __init__(self, filters: int, *, activation: str = "silu", **kwargs: Any) -> None:
        super().__init__(filters, activation=activation, **kwargs)

    def assemble(self, channels: int) -> None:
        """Adds the branch's layers for `channels` input channels."""
        self.has_skip = self.strides == 1 and channels == self.filters
        projects = self.expansion != 1
        self.add(
            "fused",
            ConvNormAct,
            round(self.expansion * channels) if projects else self.filters,
            self.kernel_size,
            strides=self.strides,
            dilation_rate=self.dilation_rate,
            activation=self.activation,
            **self._unit,
        )
        if projects:
            self.add("project", ConvNormAct, self.filters, 1, activation=None, **self._unit)
        self.add_drop()


@register
class MBConvSE(InvertedResidual):
    """An inverted residual with squeeze-and-excitation after the depthwise convolution.

    EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, Tan and Le, 2019,
    arXiv 1905.11946. The squeeze has `max(1, int(se_ratio * C))` channels, where C is the
    width of the block's input, not the expanded width.

    Args:
        filters: Output channels.
        se_ratio: Squeeze channels over input channels, in (0, 1].
        activation: Activation after the expansion, after the depthwise convolution, and inside
            the squeeze.
        **kwargs: As for `InvertedResidual`.

    Raises:
        ValueError: For a ratio outside (0, 1].
    """

    def __init__(
        self, filters: int, *, se_ratio: float = 0.25, activation: str = "silu", **kwargs: Any
    ) -> None:
        super().__init__(filters, activation=activation, **kwargs)
        if not 0 < se_ratio <= 1:
            raise ValueError(f"MBConvSE: se_ratio={se_ratio!r} is not in (0, 1]")
        self.se_ratio = se_ratio

    def add_attention(self, channels: int) -> None:
        """Adds the squeeze-and-excitation."""
        self.add(
            "squeeze_excite",
            SqueezeExcite,
            max(1, int(self.se_ratio * channels)),
            activation=self.activation,
        )
