"""The residual blocks, two 3×3 convolutions or 1×1, 3×3, 1×1, and their shortcuts."""

from typing import Any

import keras

from keras_effnets.layers.chain import (
    Chain,
    ConfiguredLayer,
    Shape,
    check_choice,
    register,
    strided_shape,
)
from keras_effnets.layers.conv import ConvNormAct
from keras_effnets.layers.squeeze_excite import SqueezeExcite
from keras_effnets.layers.stochastic_depth import StochasticDepth

SHORTCUTS = ("projection", "pad", "pool", "none")
STRIDE_ON = ("3x3", "1x1")


@register
class PaddedShortcut(ConfiguredLayer):
    """A shortcut without weights to more channels; the new ones are zeros at the end.

    Deep Residual Learning for Image Recognition, He et al., 2015, arXiv 1512.03385: option A.
    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters).

    Args:
        filters: Output channels, C or more.
        strides: Takes one pixel in `strides`, along each axis.
        pool: Whether to average over windows of `strides` × `strides` pixels instead, as
            Stochastic Depth does.

    Raises:
        ValueError: For fewer filters than input channels.
    """

    def __init__(
        self, filters: int, *, strides: int = 1, pool: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.pool = pool

    def build(self, input_shape: Shape) -> None:
        """Makes no variables; checks the number of channels."""
        if (input_shape[-1] or 0) > self.filters:
            raise ValueError(
                f"{self.name}: filters={self.filters} is below the input's {input_shape[-1]} "
                "channels; a padded shortcut cannot drop channels"
            )

    def call(self, inputs: Any) -> Any:
        """The smaller feature map with its new channels."""
        if self.pool and self.strides > 1:
            inputs = keras.ops.average_pool(
                inputs, self.strides, self.strides, padding="same", data_format="channels_last"
            )
        elif self.strides > 1:
            inputs = inputs[:, :: self.strides, :: self.strides]
        new = self.filters - inputs.shape[-1]
        return keras.ops.pad(inputs, ((0, 0), (0, 0), (0, 0), (0, new)))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters)."""
        return strided_shape(input_shape, self.strides, self.filters)


@register
class BasicBlock(Chain):
    """Two 3×3 convolutions beside a shortcut, ReLU after their sum.

    Deep Residual Learning for Image Recognition, He et al., 2015, arXiv 1512.03385. Maps
    (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters).

    Args:
        filters: Output channels.
        strides: Step of the first convolution and of the shortcut.
        dilation_rate: Dilation of both convolutions; above 1 only with `strides=1`.
        shortcut: The shortcut where the shape changes: `"projection"`, a 1×1 convolution and batch
            norm (option B); `"pad"`, every second pixel and channels of zeros (option A);
            `"pool"`, the same with 2×2 means. `"none"` leaves out every shortcut, which makes the
            network plain.
        squeeze_filters: Channels inside a squeeze-and-excitation on the branch (Hu et al., 2017,
            arXiv 1709.01507); 0 for none.
        drop_path: Probability of dropping the branch while training.
        drop_per: `"sample"` or `"batch"`, as in `StochasticDepth`.
        zero_gamma: Whether the branch's last batch norm starts as zero (arXiv 1706.02677).
        use_bias, padding, epsilon, momentum: As for `ConvNormAct`.

    Raises:
        ValueError: For an unknown shortcut.
    """

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
        check_choice(self, "shortcut", shortcut, SHORTCUTS)
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
        """Adds the branch's layers, and those of the shortcut beside them."""
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
        return strided_shape(input_shape, self.strides, self.filters)


@register
class Bottleneck(BasicBlock):
    """1×1 down to `width`, 3×3, 1×1 up to `filters`, beside a shortcut; ReLU after their sum.

    With `groups` it is ResNeXt's block (Xie et al., 2016, arXiv 1611.05431), with a larger `width`
    the block of Wide ResNet's ImageNet models (arXiv 1605.07146). Shapes and further arguments as
    for `BasicBlock`.

    Args:
        filters: Output channels.
        width: Channels of the 3×3 convolution.
        groups: Groups of the 3×3 convolution.
        stride_on: Which convolution has the stride: `"3x3"`, as torch7 and torchvision do
            ("v1.5"), or `"1x1"`, the first, as in the paper.

    Raises:
        ValueError: For an unknown shortcut or `stride_on`.
    """

    def __init__(
        self, filters: int, *, width: int, groups: int = 1, stride_on: str = "3x3", **kwargs: Any
    ) -> None:
        super().__init__(filters, **kwargs)
        check_choice(self, "stride_on", stride_on, STRIDE_ON)
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
