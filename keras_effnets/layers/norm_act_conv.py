"""Normalise, activate, then convolve: the unit of pre-activation."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.initializers import FanOutUniform
from keras_effnets.layers.normalization import add_norm
from keras_effnets.layers.recompute import recomputed


def first_shape(shape: Shape | Sequence[Shape]) -> Shape:
    """The shape, or the first of several."""
    first: Any = shape[0]
    return tuple(first if isinstance(first, list | tuple) else shape)


@register
class NormActConv(Chain):
    """Batch norm, ReLU, a convolution without bias, dropout: a unit of pre-activation.

    Maps one tensor (B, H, W, C), or several that are concatenated in that order, to
    (B, H, W, filters). Dropout is off in a frozen unit.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel, odd.
        dropout_rate: Share of the outputs dropped while training, in [0, 1).
        recompute: Whether, while training, nothing but inputs and outputs is kept for the
            gradient: what lies between is computed twice.
        epsilon, momentum: As for `ConvNormAct`.

    Raises:
        ValueError: For an even kernel, or a rate outside [0, 1).
    """

    options: ClassVar[tuple[str, ...]] = (
        "filters",
        "kernel_size",
        "dropout_rate",
        "recompute",
        "epsilon",
        "momentum",
    )

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        *,
        dropout_rate: float = 0.0,
        recompute: bool = False,
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"NormActConv: kernel_size={kernel_size!r} is not a positive odd int")
        if not 0 <= dropout_rate < 1:
            raise ValueError(f"NormActConv: dropout_rate={dropout_rate!r} is not in [0, 1)")
        self.filters = filters
        self.kernel_size = kernel_size
        self.dropout_rate = dropout_rate
        self.recompute = recompute
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the batch norm, the convolution and dropout."""
        add_norm(self)
        self.add(
            "conv",
            keras.layers.Conv2D,
            self.filters,
            self.kernel_size,
            padding="same",
            use_bias=False,
            kernel_initializer=FanOutUniform(),
            data_format="channels_last",
        )
        if self.dropout_rate:
            self.add("dropout", keras.layers.Dropout, self.dropout_rate)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Concatenates, normalises, activates, convolves, drops."""
        training = bool(training)
        features = list(inputs) if isinstance(inputs, list | tuple) else [inputs]

        def convolved(*features: Any) -> Any:
            x = keras.ops.concatenate(features, axis=-1) if len(features) > 1 else features[0]
            return self.conv(keras.ops.relu(self.norm(x, training=training)))

        if self.recompute and training:
            outputs = recomputed(
                convolved,
                features,
                parameters=[self.norm.gamma, self.norm.beta, self.conv.kernel],
                state=[self.norm.moving_mean, self.norm.moving_variance],
            )
        else:
            outputs = convolved(*features)
        if self.dropout_rate:
            outputs = self.dropout(outputs, training=training and self.trainable)
        return outputs

    def compute_output_shape(self, input_shape: Shape | Sequence[Shape]) -> Shape:
        """(B, H, W, C), or a list of such, to (B, H, W, filters)."""
        return (*first_shape(input_shape)[:-1], self.filters)
