"""The shortcut without weights of the CIFAR ResNets."""

from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Shape, register


@register
class PaddedShortcut(keras.layers.Layer):
    """A shortcut without weights to more channels: those that are new are zeros, at the end.

    Deep Residual Learning for Image Recognition, He et al., 2015, arXiv 1512.03385: option A.
    Maps (B, H, W, C) to (B, ceil(H / strides), ceil(W / strides), filters).

    Args:
        filters: Output channels, C or more.
        strides: Every so many pixels one is taken; or averaged, with `pool`.
        pool: Whether to average over windows of `strides` × `strides`, as Stochastic Depth does.

    Raises:
        ValueError: For fewer filters than there are input channels.
    """

    options: ClassVar[tuple[str, ...]] = ("filters", "strides", "pool")

    def __init__(self, filters: int, *, strides: int = 1, pool: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        self.pool = pool

    def build(self, input_shape: Shape) -> None:
        """Has no variables."""
        if (input_shape[-1] or 0) > self.filters:
            raise ValueError(
                f"{self.name}: filters={self.filters} are fewer than the input's "
                f"{input_shape[-1]} channels, and it only adds some"
            )

    def call(self, inputs: Any) -> Any:
        """The smaller picture with its new channels."""
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
        batch, *sides, _ = input_shape
        return (
            batch,
            *(None if side is None else -(-side // self.strides) for side in sides),
            self.filters,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self.options}}
