"""The block of SqueezeNet: few channels before the 3×3 convolutions."""

from typing import Any

import keras

from keras_effnets.layers.chain import Chain, Shape, check_choice, register
from keras_effnets.layers.conv import ConvAct

BYPASSES = ("none", "simple", "complex")


@register
class FireModule(Chain):
    """A 1×1 convolution to few channels, then a 1×1 and a 3×3 side by side, ReLU after each.

    SqueezeNet, Iandola et al., 2016, arXiv 1602.07360, section 3.2. Maps (B, H, W, C) to
    (B, H, W, expand1x1_filters + expand3x3_filters), the channels of the 1×1 first.

    Args:
        squeeze_filters: Output channels of the first convolution.
        expand1x1_filters: Output channels of the 1×1 convolution after it.
        expand3x3_filters: Output channels of the 3×3 convolution after it.
        bypass: Shortcut that is added to the result: `"none"`, the input itself (`"simple"`), or
            a 1×1 convolution of it, with bias and without activation (`"complex"`).

    Raises:
        ValueError: For an unknown bypass, filters below 1, or a simple bypass where input and
            output differ in their number of channels.
    """

    def __init__(
        self,
        squeeze_filters: int,
        expand1x1_filters: int,
        expand3x3_filters: int,
        *,
        bypass: str = "none",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_choice(self, "bypass", bypass, BYPASSES)
        self.squeeze_filters = squeeze_filters
        self.expand1x1_filters = expand1x1_filters
        self.expand3x3_filters = expand3x3_filters
        self.bypass = bypass
        for name in ("squeeze_filters", "expand1x1_filters", "expand3x3_filters"):
            if getattr(self, name) < 1:
                raise ValueError(f"FireModule: {name}={getattr(self, name)!r} is below 1")

    @property
    def filters(self) -> int:
        """Output channels."""
        return self.expand1x1_filters + self.expand3x3_filters

    def assemble(self, channels: int) -> None:
        """Adds the three convolutions, and the one of a complex bypass."""
        if self.bypass == "simple" and channels != self.filters:
            raise ValueError(
                f"{self.name}: bypass='simple' adds the input's {channels} channels to "
                f"{self.filters}; the numbers must be equal"
            )
        self.add("squeeze", ConvAct, self.squeeze_filters, 1)
        self.add("expand1x1", ConvAct, self.expand1x1_filters, 1)
        self.add("expand3x3", ConvAct, self.expand3x3_filters, 3)
        if self.bypass == "complex":
            self.add_beside("skip", ConvAct, self.filters, 1, activation=None)

    def build_sublayers(self, input_shape: Shape) -> None:
        """Builds the squeeze, and both expansions for its outputs."""
        self.squeeze.build(input_shape)
        squeezed = self.squeeze.compute_output_shape(input_shape)
        self.expand1x1.build(squeezed)
        self.expand3x3.build(squeezed)
        if self.bypass == "complex":
            self.skip.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The channels of both expansions, plus the bypass."""
        squeezed = self.squeeze(inputs)
        outputs = keras.ops.concatenate(
            [self.expand1x1(squeezed), self.expand3x3(squeezed)], axis=-1
        )
        if self.bypass == "none":
            return outputs
        return outputs + (self.skip(inputs) if self.bypass == "complex" else inputs)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H, W, filters)."""
        return (*input_shape[:-1], self.filters)
