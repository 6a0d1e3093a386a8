"""The pre-activation residual blocks: batch norm and activation precede each convolution."""

from typing import Any

import keras

from keras_effnets.layers.chain import (
    Chain,
    Shape,
    check_choice,
    check_rate,
    register,
    strided_shape,
)
from keras_effnets.layers.conv import ConvAct, ConvNormAct, NormAct
from keras_effnets.layers.residual import STRIDE_ON, PaddedShortcut


@register
class PreActBlock(Chain):
    """Two 3×3 convolutions, each after a batch norm and ReLU, beside a shortcut; a plain sum.

    Identity Mappings in Deep Residual Networks, He et al., 2016, arXiv 1603.05027; with dropout
    the block of Wide Residual Networks, Zagoruyko and Komodakis, 2016, arXiv 1605.07146. Where the
    number of channels changes, the shortcut is a 1×1 convolution of the activated input, which the
    branch shares. Elsewhere it is the unchanged input, with pixels skipped where there is a stride.
    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters).

    Args:
        filters: Output channels.
        strides: Step of the first convolution and of the shortcut.
        dropout_rate: Share of the values dropped before the last convolution while training, in
            [0, 1). A frozen block does not drop.
        use_bias: Whether the convolutions without a batch norm after them have a bias: the
            branch's last and the shortcut's.
        padding, epsilon, momentum: As for `ConvNormAct`.

    Raises:
        ValueError: For a rate outside [0, 1).
    """

    def __init__(
        self,
        filters: int,
        *,
        strides: int = 1,
        dropout_rate: float = 0.0,
        use_bias: bool = False,
        padding: str = "symmetric",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_rate(self, "dropout_rate", dropout_rate)
        self.filters = filters
        self.strides = strides
        self.dropout_rate = dropout_rate
        self.use_bias = use_bias
        self.padding = padding
        self.epsilon = epsilon
        self.momentum = momentum

    @property
    def _norm(self) -> dict[str, Any]:
        return {"epsilon": self.epsilon, "momentum": self.momentum}

    @property
    def _bare(self) -> dict[str, Any]:
        return {"activation": None, "use_bias": self.use_bias, "padding": self.padding}

    def add_branch(self) -> None:
        """Adds the convolutions, with the batch norm and ReLU that precede the next one."""
        self.add(
            "conv1",
            ConvNormAct,
            self.filters,
            strides=self.strides,
            padding=self.padding,
            **self._norm,
        )
        self.add_dropout()
        self.add("conv2", ConvAct, self.filters, **self._bare)

    def add_dropout(self) -> None:
        """Adds dropout, unless its rate is zero."""
        if self.dropout_rate:
            self.add("dropout", keras.layers.Dropout, self.dropout_rate)

    def assemble(self, channels: int) -> None:
        """Adds the first batch norm, the branch, and the shortcut's layer beside them."""
        self.add("preact", NormAct, **self._norm)
        self.add_branch()
        self.skip: Any = None
        self._projects = channels != self.filters
        if self._projects:
            self.add_beside("skip", ConvAct, self.filters, 1, strides=self.strides, **self._bare)
        elif self.strides > 1:
            self.add_beside("skip", PaddedShortcut, self.filters, strides=self.strides)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The branch plus the shortcut."""
        first, *branch = self.sublayers()
        activated = outputs = first(inputs)
        for layer in branch:
            if isinstance(layer, keras.layers.Dropout):
                outputs = layer(outputs, training=bool(training) and self.trainable)
            else:
                outputs = layer(outputs)
        shortcut = activated if self._projects else inputs
        return outputs + (shortcut if self.skip is None else self.skip(shortcut))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters)."""
        return strided_shape(input_shape, self.strides, self.filters)


@register
class PreActBottleneck(PreActBlock):
    """1×1 down to `width`, 3×3, 1×1 up to `filters`, each after a batch norm and ReLU.

    Shapes, shortcut and further arguments as for `PreActBlock`.

    Args:
        filters: Output channels.
        width: Channels of the 3×3 convolution.
        stride_on: Which convolution has the stride: `"3x3"`, or `"1x1"`, the first.

    Raises:
        ValueError: For a rate outside [0, 1), or an unknown `stride_on`.
    """

    def __init__(self, filters: int, *, width: int, stride_on: str = "3x3", **kwargs: Any) -> None:
        super().__init__(filters, **kwargs)
        check_choice(self, "stride_on", stride_on, STRIDE_ON)
        self.width = width
        self.stride_on = stride_on

    def add_branch(self) -> None:
        """Adds the convolutions, with the batch norm and ReLU that precede the next one."""
        first, middle = (self.strides, 1) if self.stride_on == "1x1" else (1, self.strides)
        unit = {"padding": self.padding, **self._norm}
        self.add("conv1", ConvNormAct, self.width, 1, strides=first, **unit)
        self.add("conv2", ConvNormAct, self.width, strides=middle, **unit)
        self.add_dropout()
        self.add("conv3", ConvAct, self.filters, 1, **self._bare)
