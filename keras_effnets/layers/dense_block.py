"""The blocks of DenseNet: every layer sees the features of all layers before it."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from keras_effnets.layers.chain import Chain, FanOutUniform, Shape, check_rate, register
from keras_effnets.layers.conv import add_norm

_MAX_SEPARATE = 8
"""Most tensors that a recomputing block keeps apart. Each layer concatenates them for itself, so
they are in memory once instead of once per layer. With all kept apart, a graph would have as many
operations as there are pairs of layers."""


def recomputed(
    function: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    parameters: Sequence[Any],
    state: Sequence[Any],
) -> Any:
    """Computes `function(*inputs)`, keeping only the inputs for the gradient.

    This spends time to save memory: the gradient runs the function again. `keras.remat` alone
    would also assign twice whatever the function assigns, for example a batch norm's moving
    statistics. Here both runs start from the same values, and the first one's new values of
    `state` are assigned once, outside.

    Args:
        function: Takes tensors and returns one. It runs again after its layer's call has ended,
            so it must hand `training` down itself. It must not draw random numbers.
        inputs: Arguments of the function.
        parameters: Variables that the function only reads.
        state: Variables that it assigns.
    """
    variables = [*parameters, *state]

    def run(*tensors: Any) -> tuple[Any, ...]:
        mapping = list(zip(variables, tensors[: len(variables)], strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            outputs = function(*tensors[len(variables) :])
        # The loss does not depend on the statistics. Without this their gradients, all zeros,
        # would be computed too.
        return outputs, *(
            keras.ops.stop_gradient(scope.get_current_value(variable)) for variable in state
        )

    values = [keras.ops.convert_to_tensor(variable.value) for variable in variables]
    # PyTorch assigns in place, and the second run must see the same values as the first.
    values[len(parameters) :] = map(keras.ops.copy, values[len(parameters) :])
    outputs, *assigned = keras.remat(run)(*values, *inputs)
    for variable, value in zip(state, assigned, strict=True):
        variable.assign(value)
    return outputs


def _first_shape(shape: Shape | Sequence[Shape]) -> Shape:
    """The shape, or the first of several."""
    first: Any = shape[0]
    return tuple(first if isinstance(first, list | tuple) else shape)


@register
class NormActConv(Chain):
    """A pre-activation unit: batch norm, ReLU, a convolution without bias, dropout.

    Maps one tensor (B, H, W, C), or several that are concatenated in that order, to
    (B, H, W, filters). A frozen unit does not drop.

    Args:
        filters: Output channels.
        kernel_size: Side of the square kernel, odd.
        dropout_rate: Share of the outputs dropped while training, in [0, 1).
        recompute: Whether training keeps only inputs and outputs for the gradient, and computes
            everything between them twice.
        epsilon, momentum: As for `ConvNormAct`.

    Raises:
        ValueError: For an even kernel, or a rate outside [0, 1).
    """

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
        check_rate(self, "dropout_rate", dropout_rate)
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
        """(B, H, W, C), or a list of shapes, to (B, H, W, filters)."""
        return (*_first_shape(input_shape)[:-1], self.filters)


@register
class DenseLayer(Chain):
    """One layer of a dense block: `filters` new channels from all channels so far.

    Densely Connected Convolutional Networks, Huang et al., 2016, arXiv 1608.06993. With a
    bottleneck, a 1×1 convolution to 4 · filters channels precedes the 3×3. Maps (B, H, W, C), or a
    list of tensors, to (B, H, W, filters).

    Args:
        filters: New channels, the paper's growth rate k.
        bottleneck: Whether the 1×1 convolution is present.
        dropout_rate: Rate of the dropout after each convolution, in [0, 1).
        recompute: Whether the gradient recomputes everything between the inputs and the first
            convolution's outputs: the concatenation, its norm and activation. They take up nearly
            all the memory that training needs.
        epsilon, momentum: As for `ConvNormAct`.
    """

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
        """(B, H, W, C), or a list of shapes, to (B, H, W, filters)."""
        return (*_first_shape(input_shape)[:-1], self.filters)


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
        check_rate(self, "dropout_rate", dropout_rate)
        self.repeats = repeats
        self.growth_rate = growth_rate
        self.bottleneck = bottleneck
        self.dropout_rate = dropout_rate
        self.recompute = recompute
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the layers."""
        options = {name: getattr(self, name) for name in DenseLayer.options if name != "filters"}
        for index in range(self.repeats):
            self.add(f"layer{index}", DenseLayer, self.growth_rate, **options)

    def build_sublayers(self, input_shape: Shape) -> None:
        """Builds each layer for an input wider than the previous one's."""
        *sides, channels = input_shape
        assert channels is not None
        for index, layer in enumerate(self.sublayers()):
            layer.build((*sides, channels + index * self.growth_rate))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The input and the features of all layers."""
        features = [inputs]
        for layer in self.sublayers():
            features.append(layer(features))
            if len(features) > (_MAX_SEPARATE if self.recompute else 1):
                features = [keras.ops.concatenate(features, axis=-1)]
        return features[0] if len(features) == 1 else keras.ops.concatenate(features, axis=-1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, H, W, C) to (B, H, W, C + repeats · growth_rate)."""
        *sides, channels = input_shape
        return (*sides, (channels or 0) + self.repeats * self.growth_rate)


@register
class Transition(NormActConv):
    """Between dense blocks: batch norm, ReLU, 1×1 convolution, dropout, means of 2 × 2 pixels.

    Maps (B, H, W, C) to (B, H // 2, W // 2, filters). Takes the arguments of `NormActConv` except
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
        batch, *sides, _ = _first_shape(input_shape)
        return (batch, *(None if side is None else side // 2 for side in sides), self.filters)
