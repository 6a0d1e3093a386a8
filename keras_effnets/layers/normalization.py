"""Normalisation over neighbouring channels, from before batch norm; and batch norm before use."""

from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register


def add_norm(layer: Any, **options: Any) -> None:
    """Appends a batch norm to a chain that has an epsilon and a momentum."""
    layer.add(
        "norm",
        keras.layers.BatchNormalization,
        axis=-1,
        epsilon=layer.epsilon,
        momentum=layer.momentum,
        **options,
    )


@register
class LocalResponseNormalization(keras.layers.Layer):
    """Divides each value by a power of the sum of squares of its neighbours in other channels.

    ImageNet Classification with Deep Convolutional Neural Networks, Krizhevsky et al., 2012,
    section 3.3: x / (bias + alpha · Σ x²)^beta, the sum over `size` channels around. Keeps
    (B, H, W, C). Alpha is the paper's: Caffe and PyTorch divide theirs by `size`.

    Args:
        size: Channels in the sum, odd.
        bias: The paper's k.
        alpha: Of the sum, undivided.
        beta: The power.

    Raises:
        ValueError: For an even size, or one below 1.
    """

    options: ClassVar[tuple[str, ...]] = ("size", "bias", "alpha", "beta")

    def __init__(
        self,
        size: int = 5,
        *,
        bias: float = 2.0,
        alpha: float = 1e-4,
        beta: float = 0.75,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise ValueError(f"LocalResponseNormalization: size={size!r} is not a positive odd int")
        self.size = size
        self.bias = bias
        self.alpha = alpha
        self.beta = beta

    def build(self, input_shape: Shape) -> None:
        """Has no variables."""

    def call(self, inputs: Any) -> Any:
        """The input, normalised."""
        channels, radius = inputs.shape[-1], self.size // 2
        squares = keras.ops.pad(
            keras.ops.square(inputs), ((0, 0), (0, 0), (0, 0), (radius, radius))
        )
        total = sum(squares[..., start : start + channels] for start in range(self.size))
        return inputs / (self.bias + self.alpha * total) ** self.beta

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The input's shape."""
        return tuple(input_shape)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make this layer again."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self.options}}


@register
class NormAct(Chain):
    """Batch normalisation and activation: what precedes a convolution in pre-activation networks.

    Keeps (B, H, W, C).

    Args:
        activation: A Keras activation's name, ReLU by default.
        epsilon: Of the batch normalisation.
        momentum: Of its moving statistics, in Keras's sense.
    """

    options: ClassVar[tuple[str, ...]] = ("activation", "epsilon", "momentum")

    def __init__(
        self,
        *,
        activation: str = "relu",
        epsilon: float = 1e-5,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = activation
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the batch norm."""
        self._activate = keras.activations.get(self.activation)
        add_norm(self)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Normalises and activates."""
        return self._activate(self.norm(inputs))
