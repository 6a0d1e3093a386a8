"""The blocks of DenseNet: every layer sees the features of all layers before it."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.norm_act_conv import NormActConv, first_shape

_LOOSE = 8
"""So many tensors at most stay apart for layers to concatenate for themselves, which keeps them in
memory once instead of once a layer. Were all kept apart, a graph would have as many operations as
there are pairs of layers."""


@register
class DenseLayer(Chain):
    """What a dense block has many of: `filters` new channels from all that there are.

    Densely Connected Convolutional Networks, Huang et al., 2016, arXiv 1608.06993. With a
    bottleneck a 1×1 convolution to 4 · filters channels precedes the 3×3. Maps (B, H, W, C), or a
    list of such, to (B, H, W, filters).

    Args:
        filters: New channels, the paper's growth rate k.
        bottleneck: Whether there is the 1×1 convolution.
        dropout_rate: Behind each convolution, in [0, 1).
        recompute: Whether what lies between the inputs and the first convolution's outputs is
            computed again for the gradient: the concatenation, and its norm and activation. They
            are nearly all that such a network keeps.
        epsilon, momentum: As for `ConvNormAct`.
    """

    options: ClassVar[tuple[str, ...]] = (
        "filters",
        "bottleneck",
        "dropout_rate",
        "recompute",
        "epsilon",
        "momentum",
    )

    def __init__(
        self,
        filters: int,
        *,
        bottleneck: bool = True,
        dropout_rate: float = 0.0,
        recompute: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.bottleneck = bottleneck
        self.dropout_rate = dropout_rate
        self.recompute = recompute
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds one unit or two."""
        unit = {
            "dropout_rate": self.dropout_rate,
            "epsilon": self.epsilon,
            "momentum": self.momentum,
        }
        if self.bottleneck:
            self.add("conv1", NormActConv, 4 * self.filters, 1, recompute=self.recompute, **unit)
            self.add("conv2", NormActConv, self.filters, 3, **unit)
        else:
            self.add("conv1", NormActConv, self.filters, 3, recompute=self.recompute, **unit)

    def compute_output_shape(self, input_shape: Shape | Sequence[Shape]) -> Shape:
        """(B, H, W, C), or a list of such, to (B, H, W, filters)."""
        return (*first_shape(input_shape)[:-1], self.filters)


@register
class DenseBlock(Chain):
    """Dense layers, each with all features before it: the input's first, the newest last.

    Maps (B, H, W, C) to (B, H, W, C + repeats · growth_rate).

    Args:
        repeats: Number of layers.
        growth_rate: New channels of each.
        bottleneck, dropout_rate, recompute, epsilon, momentum: As for `DenseLayer`.

    Raises:
        ValueError: For no layers, a growth rate below 1, or a dropout rate outside [0, 1).
    """

    options: ClassVar[tuple[str, ...]] = (
        "repeats",
        "growth_rate",
        "bottleneck",
        "dropout_rate",
        "recompute",
        "epsilon",
        "momentum",
    )

    def __init__(
        self,
        repeats: int,
        growth_rate: int,
        *,
        bottleneck: bool = True,
        dropout_rate: float = 0.0,
        recompute: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if repeats < 1 or growth_rate < 1:
            raise ValueError(
                f"DenseBlock: repeats={repeats!r} and growth_rate={growth_rate!r} must be 1 or more"
            )
        if not 0 <= dropout_rate < 1:
            raise ValueError(f"DenseBlock: dropout_rate={dropout_rate!r} is not in [0, 1)")
        self.repeats = repeats
        self.growth_rate = growth_rate
        self.bottleneck = bottleneck
        self.dropout_rate = dropout_rate
        self.recompute = recompute
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the layers."""
        for index in range(self.repeats):
            self.add(
                f"layer{index}",
                DenseLayer,
                self.growth_rate,
                bottleneck=self.bottleneck,
                dropout_rate=self.dropout_rate,
                recompute=self.recompute,
                epsilon=self.epsilon,
                momentum=self.momentum,
            )

    def build_sublayers(self, input_shape: Shape) -> None:
        """Each layer's input is wider than the last one's."""
        *sides, channels = input_shape
        assert channels is not None
        for index, layer in enumerate(self.sublayers()):
            layer.build((*sides, channels + index * self.growth_rate))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """All features there are in the end."""
        features = [inputs]
        for layer in self.sublayers():
            features.append(layer(features))
            if len(features) > (_LOOSE if self.recompute else 1):
                features = [keras.ops.concatenate(features, axis=-1)]
        return features[0] if len(features) == 1 else keras.ops.concatenate(features, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H, W, C + repeats · growth_rate)."""
        *sides, channels = input_shape
        return (*sides, (channels or 0) + self.repeats * self.growth_rate)


@register
class Transition(NormActConv):
    """Between dense blocks: batch norm, ReLU, 1×1 convolution, dropout, means of 2 × 2 pixels.

    Maps (B, H, W, C) to (B, H // 2, W // 2, filters). Arguments as for `NormActConv`, less
    `kernel_size`.
    """

    options = tuple(name for name in NormActConv.options if name != "kernel_size")

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(filters, 1, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The convolution, averaged."""
        return keras.ops.average_pool(
            super().call(inputs, training=training),
            2,
            2,
            padding="valid",
            data_format="channels_last",
        )

    def compute_output_shape(self, input_shape: Shape | Sequence[Shape]) -> Shape:
        """(B, H, W, C) to (B, H // 2, W // 2, filters)."""
        batch, *sides, _ = first_shape(input_shape)
        return (batch, *(None if side is None else side // 2 for side in sides), self.filters)
