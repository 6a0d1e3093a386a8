"""What every convolution unit does beside its convolution: it pads, strides and activates."""

from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape
from keras_effnets.layers.fused_norm import can_fuse, fused

PADDINGS = ("symmetric", "same", "bottom_right")


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


class ConvUnit(Chain):
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
