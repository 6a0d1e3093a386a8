"""The residual blocks: two 3×3 convolutions, or 1×1, 3×3, 1×1, beside a shortcut."""

from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.conv import ConvNormAct
from keras_effnets.layers.padded_shortcut import PaddedShortcut
from keras_effnets.layers.squeeze_excite import SqueezeExcite
from keras_effnets.layers.stochastic_depth import StochasticDepth

SHORTCUTS = ("projection", "pad", "pool", "none")


@register
class BasicBlock(Chain):
    """Two 3×3 convolutions beside a shortcut, ReLU after their sum.

    Deep Residual Learning for Image Recognition, He et al., 2015, arXiv 1512.03385. Maps
    (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters).

    Args:
        filters: Output channels.
        strides: Of the first convolution, and of the shortcut.
        dilation_rate: Of both convolutions.
        shortcut: Where the shape changes: `"projection"`, a 1×1 convolution and batch norm
            (option B); `"pad"`, every second pixel and channels of zeros (option A); `"pool"`,
            the same with 2×2 means. `"none"` leaves the shortcut out everywhere, which makes the
            network plain.
        squeeze_filters: Of a squeeze-and-excitation on the branch (Hu et al., 2017, arXiv
            1709.01507); 0 for none.
        drop_path: Probability of dropping the branch while training.
        drop_per: `"sample"` or `"batch"`, as in `StochasticDepth`.
        zero_gamma: Whether the branch's last batch norm starts as zero (arXiv 1706.02677).
        use_bias, padding, epsilon, momentum: As for `ConvNormAct`.

    Raises:
        ValueError: For an unknown shortcut.
    """

    options: ClassVar[tuple[str, ...]] = (
        "filters",
        "strides",
        "dilation_rate",
        "shortcut",
        "squeeze_filters",
        "drop_path",
        "drop_per",
        "zero_gamma",
        "use_bias",
        "padding",
        "epsilon",
        "momentum",
    )

    def __init__(
        self,
        filters: int,
        *,
        strides: int = 1,
        dilation_rate: int = 1,
        shortcut: str = "projection",
        squeeze_filters: int = 0,
        drop_path: float = 0.0,
        drop_per: str = "sample",
        zero_gamma: bool = False,
        use_bias: bool = False,
        padding: str = "symmetric",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if shortcut not in SHORTCUTS:
            raise ValueError(
                f"{type(self).__name__}: shortcut={shortcut!r} is not one of {SHORTCUTS}"
            )
        self.filters = filters
        self.strides = strides
        self.dilation_rate = dilation_rate
        self.shortcut = shortcut
        self.squeeze_filters = squeeze_filters
        self.drop_path = drop_path
        self.drop_per = drop_per
        self.zero_gamma = zero_gamma
        self.use_bias = use_bias
        self.padding = padding
        self.epsilon = epsilon
        self.momentum = momentum

    @property
    def _unit(self) -> dict[str, Any]:
        return {
            "use_bias": self.use_bias,
            "padding": self.padding,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
        }

    def add_branch(self) -> None:
        """Adds the convolutions; the last is linear."""
        dilation, unit = {"dilation_rate": self.dilation_rate}, self._unit
        self.add("conv1", ConvNormAct, self.filters, strides=self.strides, **dilation, **unit)
        last = {"activation": None, "zero_gamma": self.zero_gamma}
        self.add("conv2", ConvNormAct, self.filters, **last, **dilation, **unit)

    def assemble(self, channels: int) -> None:
        """Adds the branch's layers, and beside them what the shortcut needs."""
        self.add_branch()
        if self.squeeze_filters:
            self.add("squeeze_excite", SqueezeExcite, self.squeeze_filters)
        if self.drop_path:
            self.add("branch_drop", StochasticDepth, self.drop_path, per=self.drop_per)
        self.skip: Any = None
        if self.shortcut == "none" or (self.strides == 1 and channels == self.filters):
            return
        if self.shortcut == "projection":
            linear = {"strides": self.strides, "activation": None, **self._unit}
            self.add_beside("skip", ConvNormAct, self.filters, 1, **linear)
        else:
            pool = self.shortcut == "pool"
            self.add_beside("skip", PaddedShortcut, self.filters, strides=self.strides, pool=pool)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The branch plus the shortcut, activated."""
        outputs = super().call(inputs)
        if self.shortcut != "none":
            outputs = outputs + (inputs if self.skip is None else self.skip(inputs))
        return keras.ops.relu(outputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters)."""
        batch, *sides, _ = input_shape
        height, width = (None if side is None else -(-side // self.strides) for side in sides)
        return (batch, height, width, self.filters)


@register
class Bottleneck(BasicBlock):
    """1×1 down to `width`, 3×3, 1×1 up to `filters`, beside a shortcut; ReLU after their sum.

    With `groups` it is ResNeXt's block (Xie et al., 2016, arXiv 1611.05431), with a greater
    `width` that of Wide ResNet's ImageNet models (arXiv 1605.07146). Shapes and further arguments
    as for `BasicBlock`.

    Args:
        filters: Output channels.
        width: Channels of the 3×3 convolution.
        groups: Of the 3×3 convolution.
        stride_on: Which convolution has the stride: `"3x3"`, as torch7 and torchvision do
            ("v1.5"), or `"1x1"`, the first, as in the paper.

    Raises:
        ValueError: For an unknown shortcut or `stride_on`.
    """

    options = (*BasicBlock.options, "width", "groups", "stride_on")

    def __init__(
        self, filters: int, *, width: int, groups: int = 1, stride_on: str = "3x3", **kwargs: Any
    ) -> None:
        super().__init__(filters, **kwargs)
        if stride_on not in ("1x1", "3x3"):
            raise ValueError(f"Bottleneck: stride_on={stride_on!r} is not one of '1x1', '3x3'")
        self.width = width
        self.groups = groups
        self.stride_on = stride_on

    def add_branch(self) -> None:
        """Adds the convolutions; the last is linear."""
        unit = self._unit
        first, middle = (self.strides, 1) if self.stride_on == "1x1" else (1, self.strides)
        self.add("conv1", ConvNormAct, self.width, 1, strides=first, **unit)
        self.add(
            "conv2",
            ConvNormAct,
            self.width,
            strides=middle,
            dilation_rate=self.dilation_rate,
            groups=self.groups,
            **unit,
        )
        last = {"activation": None, "zero_gamma": self.zero_gamma}
        self.add("conv3", ConvNormAct, self.filters, 1, **last, **unit)
