"""Rules for multiply-adds, one for each kind of layer, by two definitions.

`"paper"`, as papers and torchvision's `_ops` count: each use of a convolution's, dense layer's or
recurrent layer's kernel. Biases, normalisation, activations, pooling and look-ups are free.

`"torchinfo"`, as torchinfo 1.8 counts: each trainable value of a convolution, bias included, once
per place of the output; of a recurrent layer once per step; of any other layer once per sample,
even if the layer is applied at many places.

Layers without a rule count as None; nothing is guessed. Written by hand: torchinfo reads PyTorch
modules only, and TensorFlow's profiler counts the FLOPs of its own graphs, norms and all.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import layers

from keras_effnets import layers as ours
from keras_effnets.layers.chain import Chain, nested_layers

DEFINITIONS = ("paper", "torchinfo")

KnownShape = tuple[int, ...]
"""A shape without open sizes, batch included."""

POINTWISE = (
    layers.Activation,
    layers.ActivityRegularization,
    layers.Add,
    layers.AlphaDropout,
    layers.Average,
    layers.Dropout,
    layers.ELU,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.Identity,
    layers.InputLayer,
    layers.LeakyReLU,
    layers.Masking,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Normalization,
    layers.RandomBrightness,
    layers.RandomContrast,
    layers.RandomFlip,
    layers.RandomRotation,
    layers.RandomTranslation,
    layers.RandomZoom,
    layers.ReLU,
    layers.Rescaling,
    layers.SpatialDropout1D,
    layers.SpatialDropout2D,
    layers.SpatialDropout3D,
    layers.Subtract,
    ours.LocalResponseNormalization,
    ours.Preprocessing,
    ours.StochasticDepth,
)
"""Kinds without trainable values that keep every place where it is. Augmentation does nothing at
inference."""

FREE = (
    *POINTWISE,
    *(
        getattr(layers, f"{kind}{rank}D")
        for rank in (1, 2, 3)
        for kind in (
            *("AdaptiveAveragePooling", "AdaptiveMaxPooling", "AveragePooling", "Cropping"),
            *("GlobalAveragePooling", "GlobalMaxPooling", "MaxPooling", "UpSampling"),
            "ZeroPadding",
        )
    ),
    layers.CenterCrop,
    layers.Concatenate,
    layers.Flatten,
    layers.Permute,
    layers.RepeatVector,
    layers.Reshape,
    layers.Resizing,
    layers.Softmax,
    layers.UnitNormalization,
    ours.MaxPool,
    ours.PaddedShortcut,
)
"""Kinds without trainable values, which no definition counts."""

SCALING = (
    layers.BatchNormalization,
    layers.Embedding,
    layers.GroupNormalization,
    layers.LayerNormalization,
    layers.PReLU,
    layers.RMSNormalization,
)
"""Kinds with trainable values but no matrix product, which papers do not count."""

FREE_OPERATIONS = frozenset(
    (
        *("Absolute", "Add", "Amax", "Amin", "Arange", "Argmax", "Average", "AveragePool"),
        *("BroadcastTo", "Cast", "Clip", "Concatenate", "ConvertToTensor", "Copy", "Divide", "Elu"),
        *("Equal", "Exp", "ExpandDims", "Flip", "Full", "FullLike", "Gelu", "GetItem", "Greater"),
        *("GreaterEqual", "HardSigmoid", "HardSilu", "HardTanh", "LeakyRelu", "Less", "LessEqual"),
        *("Log", "Log1p", "LogSoftmax", "LogicalAnd", "LogicalNot", "LogicalOr", "Max", "MaxPool"),
        *("Maximum", "Mean", "Min", "Minimum", "Moveaxis", "Multiply", "Negative", "NotEqual"),
        *("OnesLike", "Pad", "Power", "Ravel", "ReLU", "Reciprocal", "Relu", "Relu6", "Repeat"),
        *("Reshape", "Roll", "Round", "Rsqrt", "Selu", "Sigmoid", "Sign", "Silu", "Slice"),
        *("Softmax", "Softplus", "Softsign", "Split", "Sqrt", "Square", "Squeeze", "Stack", "Std"),
        *("StopGradient", "Subtract", "Sum", "Swapaxes", "Take", "Tanh", "Tile", "Transpose"),
        *("TrueDivide", "Var", "Where", "ZerosLike"),
    )
)
"""Operations of `keras.ops` that no definition counts; all others may multiply and add."""

CONVOLUTIONS = (layers.Conv1D, layers.Conv2D, layers.Conv3D)
TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
SEPARABLE = (layers.SeparableConv1D, layers.SeparableConv2D)
RECURRENT = (layers.GRU, layers.LSTM, layers.SimpleRNN)


def layer_multiply_adds(
    layer: Any,
    inputs: Sequence[KnownShape],
    outputs: Sequence[KnownShape],
    definition: str = "paper",
) -> int | None:
    """Counts the multiply-adds of one call of a built layer; None if its kind has no rule.

    Args:
        layer: A Keras layer that is not a block of layers.
        inputs: Shapes of its inputs, batch included.
        outputs: Shapes of its outputs, batch included.
        definition: `"paper"` or `"torchinfo"`, see this module.

    Raises:
        ValueError: The definition is unknown.
    """
    check_definition(definition)
    rules = _rules_for(layer.__class__)
    if rules is None:
        return None
    rule = rules[0] if definition == "paper" else rules[1]
    return rule(layer, inputs[0], outputs[0])


@functools.cache
def _rules_for(kind: Any) -> "tuple[_Rule, _Rule] | None":
    for kinds, *rules in _RULES:
        if issubclass(kind, kinds):
            return rules[0], rules[1]
    return None


def check_definition(definition: str) -> None:
    """Raises ValueError unless `definition` is one of `DEFINITIONS`."""
    if definition not in DEFINITIONS:
        raise ValueError(f"definition={definition!r} is not one of {DEFINITIONS}")


def multiply_adds(model: keras.Model) -> int:
    """Counts multiply-adds for one image of the model's input size, as papers do.

    Counts each layer of the model, its blocks and its nested models once; `keras_effnets.summary`
    follows the calls instead.

    Raises:
        ValueError: The model's input size is open, or a layer with weights has no rule.
    """
    return sum(map(_once, nested_layers(model)))


def _once(layer: Any) -> int:
    rules = _rules_for(layer.__class__)
    if rules is None and layer.weights and not isinstance(layer, Chain | keras.Model):
        raise ValueError(f"{layer.path}: no rule for the multiply-adds of {type(layer).__name__}")
    if rules is None or rules[0] is _free:
        return 0
    shape = layer.get_build_config()["input_shape"]
    outputs = layer.compute_output_shape(shape)
    if None in outputs[1:] or None in shape[1:]:
        raise ValueError(
            f"{layer.path}: multiply-adds depend on the input size: build the model with "
            "input_shape=(height, width, channels)"
        )
    found = layer_multiply_adds(layer, [(1, *shape[1:])], [(1, *outputs[1:])])
    assert found is not None
    return found


def _places(layer: Any, shape: KnownShape) -> int:
    """The number of samples times the number of pixels of a map."""
    first = getattr(layer, "data_format", None) == "channels_first"
    return math.prod((shape[0], *shape[2:]) if first else shape[:-1])


def _size(*variables: Any) -> int:
    return sum(math.prod(variable.shape) for variable in variables if variable is not None)


def _trainable(layer: Any) -> int:
    """Counts the values that train unless frozen: all but a batch norm's statistics."""
    statistics: set[int] = set()
    if isinstance(layer, layers.BatchNormalization):
        statistics = {id(layer.moving_mean), id(layer.moving_variance)}
    return _size(*(weight for weight in layer.weights if id(weight) not in statistics))


def _convolution(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    # The kernel of a grouped convolution has C / groups channels: each value counts once per place.
    return _places(layer, outputs) * _size(layer.kernel)


def _transposed(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    """Each place of the input is multiplied by the whole kernel, at the border too."""
    return _places(layer, inputs) * _size(layer.kernel)


def _separable(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    return _places(layer, outputs) * _size(layer.depthwise_kernel, layer.pointwise_kernel)


def _dense(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    return math.prod(outputs[:-1]) * _size(layer.kernel)


def _einsum(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    """One multiply-add for every combination of the indices of input and kernel."""
    given, kernel = layer.equation.split("->")[0].split(",")
    sizes = zip(kernel, layer.kernel.shape, strict=True)
    return math.prod(inputs) * math.prod(size for index, size in sizes if index not in given)


def _recurrent(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    cell = layer.cell
    return math.prod(inputs[:2]) * _size(cell.kernel, cell.recurrent_kernel)


def _free(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    return 0


def _all_at_each_place(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    return _places(layer, outputs) * _trainable(layer)


def _all_a_step(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    return math.prod(inputs[:2]) * _trainable(layer)


def _all_a_sample(layer: Any, inputs: KnownShape, outputs: KnownShape) -> int:
    return outputs[0] * _trainable(layer)


_Rule = Callable[[Any, KnownShape, KnownShape], int]
_RULES: tuple[tuple[tuple[type, ...], _Rule, _Rule], ...] = (
    # Some Keras layers subclass others: subclasses come first.
    (FREE, _free, _free),
    (TRANSPOSED, _transposed, _all_at_each_place),
    (SEPARABLE, _separable, _all_at_each_place),
    ((*DEPTHWISE, *CONVOLUTIONS), _convolution, _all_at_each_place),
    ((layers.Dense,), _dense, _all_a_sample),
    ((layers.EinsumDense,), _einsum, _all_a_sample),
    (RECURRENT, _recurrent, _all_a_step),
    (SCALING, _free, _all_a_sample),
)
"""Kinds, with the rules for `"paper"` and `"torchinfo"`."""
