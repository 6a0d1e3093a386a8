"""Pooling with windows where PyTorch and Caffe put them."""

import math
from typing import Any

import keras
import numpy as np

from keras_effnets.layers.chain import ConfiguredLayer, Shape, register


@register
class MaxPool(ConfiguredLayer):
    """Max pooling of inputs that are never below zero, unless `signed`.

    Maps (B, H, W, C) to (B, H', W', C), where H' is (H + 2 · padding - pool_size) / strides + 1,
    rounded down, or up with `ceil_mode`. The border is zero. For the outputs of a ReLU this gives
    the same maxima as PyTorch's minus infinity, and an integer model can represent it.

    Args:
        pool_size: Side of the window.
        strides: Step of the window, at most `pool_size`.
        padding: Pixels on each side, at most half of `pool_size`.
        ceil_mode: Whether to keep windows that reach beyond the bottom and right edges, as in
            Caffe.
        signed: Whether inputs may be below zero; the border is then minus infinity.

    Raises:
        ValueError: For strides or padding outside those ranges.
    """

    def __init__(
        self,
        pool_size: int = 3,
        *,
        strides: int = 2,
        padding: int = 0,
        ceil_mode: bool = False,
        signed: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 1 <= strides <= pool_size:
            raise ValueError(
                f"MaxPool: strides={strides!r} is not between 1 and pool_size={pool_size}"
            )
        if not 0 <= 2 * padding <= pool_size:
            raise ValueError(
                f"MaxPool: padding={padding!r} is not between 0 and half of pool_size={pool_size}"
            )
        self.pool_size = pool_size
        self.strides = strides
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.signed = signed

    @property
    def _margins(self) -> tuple[int, int]:
        """Pixels before and after each axis; `ceil_mode` adds room for one more window after it."""
        return self.padding, self.padding + (self.strides - 1 if self.ceil_mode else 0)

    def call(self, inputs: Any) -> Any:
        """The largest value in each window."""
        if any(self._margins):
            inputs = keras.ops.pad(
                inputs,
                ((0, 0), self._margins, self._margins, (0, 0)),
                constant_values=-math.inf if self.signed else 0,
            )
        return keras.ops.max_pool(
            inputs, self.pool_size, self.strides, padding="valid", data_format="channels_last"
        )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H', W', C)."""
        batch, *sides, channels = input_shape
        grown = sum(self._margins) - self.pool_size
        return (
            batch,
            *(None if side is None else (side + grown) // self.strides + 1 for side in sides),
            channels,
        )


@register
class AdaptiveAveragePool(keras.layers.AdaptiveAveragePooling2D):
    """Means over `output_size` × `output_size` windows that tile the feature map.

    Window i of n spans rows floor(i · H / n) to ceil((i + 1) · H / n), as in PyTorch. A map
    smaller than n × n is repeated, a larger one averaged. Maps (B, H, W, C) to (B, n, n, C).
    """

    def __init__(self, output_size: int, **kwargs: Any) -> None:
        kwargs.setdefault("data_format", "channels_last")
        super().__init__(output_size, **kwargs)

    def call(self, inputs: Any) -> Any:
        """The means; where the sides are known, the windows are computed outside the graph.

        Keras's own graph fails on a map of one pixel.
        """
        if None in inputs.shape[1:3]:
            return super().call(inputs)
        outputs = inputs
        for axis, (side, windows) in enumerate(
            zip(inputs.shape[1:3], self.output_size, strict=True), 1
        ):
            if side != windows:
                means = keras.ops.convert_to_tensor(_window_means(side, windows), inputs.dtype)
                # tensordot puts the windows last; move them back to the axis of the side.
                outputs = keras.ops.moveaxis(
                    keras.ops.tensordot(outputs, means, [[axis], [0]]), -1, axis
                )
        return outputs


def _window_means(side: int, windows: int) -> np.ndarray:
    """(side, windows): the weight of each pixel along a side in the mean of each window."""
    means = np.zeros((side, windows), np.float32)
    for window in range(windows):
        start, end = window * side // windows, -(-(window + 1) * side // windows)
        means[start:end, window] = 1 / (end - start)
    return means
