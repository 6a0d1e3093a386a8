"""The block of SqueezeNet: few channels before the 3×3 convolutions."""

from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.conv import ConvAct

BYPASSES = ("none", "simple", "complex")


@register
class FireModule(Chain):
    """A squeezing 1×1 convolution, then 1×1 and 3×3 ones side by side, ReLU after each.

    SqueezeNet, Iandola et al., 2016, arXiv 1602.07360, section 3.2. Maps (B, H, W, C) to
    (B, H, W, expand1x1_filters + expand3x3_filters), the 1×1's channels first.

    Args:
        squeeze_filters: Output channels of the squeezing convolution.
        expand1x1_filters: Those of the 1×1 convolution behind it.
        expand3x3_filters: Those of the 3×3 one.
        bypass: What is added to the result: nothing (`"none"`), the input (`"simple"`), or a 1×1
            convolution of the input, with bias and without activation (`"complex"`).

    Raises:
        ValueError: For an unknown bypass, filters below 1, or a simple bypass from another number
            of channels.
    """

    options: ClassVar[tuple[str, ...]] = (
        "squeeze_filters",
        "expand1x1_filters",
        "expand3x3_filters",
        "bypass",
    )

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
        if bypass not in BYPASSES:
            raise ValueError(f"FireModule: bypass={bypass!r} is not one of {BYPASSES}")
        self.squeeze_filters = squeeze_filters
        self.expand1x1_filters = expand1x1_filters
        self.expand3x3_filters = expand3x3_filters
        self.bypass = bypass
        for name in self.options[:3]:
            if getattr(self, name) < 1:
                raise ValueError(f"FireModule: {name}={getattr(self, name)!r} is below 1")

    @property
    def filters(self) -> int:
        """Output channels."""
        return self.expand1x1_filters + self.expand3x3_filters

    def assemble(self, channels: int) -> None:
        """Adds the three convolutions, and that of a complex bypass."""
        if self.bypass == "simple" and channels != self.filters:
            raise ValueError(
                f"{self.name}: bypass='simple' adds the input's {channels} channels to "
                f"{self.filters}: they must be as many"
            )
        self.add("squeeze", ConvAct, self.squeeze_filters, 1)
        self.add("expand1x1", ConvAct, self.expand1x1_filters, 1)
        self.add("expand3x3", ConvAct, self.expand3x3_filters, 3)
        if self.bypass == "complex":
            self.add_beside("skip", ConvAct, self.filters, 1, activation=None)

    def build_sublayers(self, input_shape: Shape) -> None:
        """Both expansions stand behind the squeeze."""
        self.squeeze.build(input_shape)
        squeezed = self.squeeze.compute_output_shape(input_shape)
        self.expand1x1.build(squeezed)
        self.expand3x3.build(squeezed)
        if self.bypass == "complex":
            self.skip.build(input_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The expansions' channels, and what bypasses them."""
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
