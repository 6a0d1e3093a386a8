"""The text and the kind of a diagram's box, from its layer or operation."""

from __future__ import annotations

from typing import Any

import keras

from keras_effnets.layers import (
    AdaptiveAveragePool,
    BasicBlock,
    Classifier,
    ConvAct,
    ConvClassifier,
    ConvNormAct,
    DenseAct,
    DenseBlock,
    DepthwiseConvNormAct,
    DepthwiseSeparable,
    FireModule,
    GroupedConv2D,
    Inception,
    InvertedResidual,
    LocalResponseNormalization,
    MaxPool,
    MlpConv,
    NormAct,
    NormActConv,
    PaddedShortcut,
    PreActBlock,
    SqueezeExcite,
    StochasticDepth,
    Transition,
)

_ACTIVATIONS = {
    "relu": "ReLU",
    "relu6": "ReLU6",
    "silu": "SiLU",
    "hard_silu": "hard swish",
    "hard_swish": "hard swish",
    "sigmoid": "sigmoid",
    "hard_sigmoid": "hard sigmoid",
    "softmax": "softmax",
}
BLOCKS = (
    BasicBlock,
    DenseBlock,
    DepthwiseSeparable,
    FireModule,
    Inception,
    InvertedResidual,
    MlpConv,
    PreActBlock,
    SqueezeExcite,
)
"""Layers whose inside is drawn, subclasses included."""
_CONVOLVING = (
    *BLOCKS,
    Classifier,
    ConvAct,
    ConvClassifier,
    DenseAct,
    GroupedConv2D,
    NormActConv,
    keras.layers.Conv2D,
    keras.layers.Dense,
)
MERGES = {"Add": "add", "Concatenate": "concatenate", "Multiply": "multiply"}
_OPERATIONS = {
    **MERGES,
    "Mean": "global mean",
    "AveragePool": "2×2 mean",
    "Softmax": "softmax",
    "Relu": "ReLU",
    "ReLU": "ReLU",
    "BatchNormalization": "batch norm",
    "GlobalAveragePooling2D": "global mean",
    "Flatten": "flatten",
}


def kind_of(operation: Any) -> str:
    """`"merge"`, `"depthwise"`, `"gate"`, `"conv"` for other layers with kernels, or `"other"`."""
    if type(operation).__name__ in MERGES:
        return "merge"
    if isinstance(operation, SqueezeExcite):
        return "gate"
    if isinstance(operation, DepthwiseConvNormAct | keras.layers.DepthwiseConv2D):
        return "depthwise"
    return "conv" if isinstance(operation, _CONVOLVING) else "other"


def box_text(operation: Any) -> list[str]:
    """The text of a box, one or two lines."""
    if isinstance(operation, Transition):
        return ["batch norm, ReLU", f"1×1 conv, {operation.filters}; 2×2 mean"]
    if isinstance(operation, NormActConv):
        size = operation.kernel_size
        return ["batch norm, ReLU", f"{size}×{size} conv, {operation.filters}"]
    if isinstance(operation, ConvAct | DepthwiseConvNormAct):
        return _unit(operation)
    if isinstance(operation, SqueezeExcite):
        return ["squeeze-and-excitation", f"{operation.squeeze_filters} squeezed channels"]
    if isinstance(operation, GroupedConv2D | keras.layers.Conv2D | keras.layers.Dense):
        return _bare(operation)
    if isinstance(operation, MaxPool):
        stride = f", stride {operation.strides}" if operation.strides != 1 else ""
        return [f"{operation.pool_size}×{operation.pool_size} max pool{stride}"]
    if isinstance(operation, StochasticDepth):
        return ["stochastic depth"]
    if isinstance(operation, NormAct):
        return ["batch norm, ReLU"]
    if isinstance(operation, PaddedShortcut):
        return ["zero-padded channels"]
    if isinstance(operation, LocalResponseNormalization):
        return ["local response norm"]
    if isinstance(operation, AdaptiveAveragePool):
        return ["mean to a fixed size"]
    if isinstance(operation, DenseAct | Classifier | ConvClassifier):
        return _head(operation)
    name = type(operation).__name__
    return [_OPERATIONS.get(name, name)]


def activation(name: str | None) -> str:
    """The usual spelling of an activation; empty for a linear one."""
    return "" if name in (None, "linear") else _ACTIVATIONS.get(str(name), str(name))


def _unit(layer: Any) -> list[str]:
    size = f"{layer.kernel_size}×{layer.kernel_size}"
    if isinstance(layer, DepthwiseConvNormAct):
        first = f"{size} depthwise"
    else:
        first = f"{size} conv, {layer.filters}"
        if layer.groups > 1:
            first += f" in {layer.groups} groups"
    if layer.strides > 1:
        first += f", stride {layer.strides}"
    norm = "batch norm" if isinstance(layer, ConvNormAct | DepthwiseConvNormAct) else ""
    second = ", ".join(filter(None, (norm, activation(layer.activation))))
    return [first, second] if second else [first]


def _bare(layer: Any) -> list[str]:
    if isinstance(layer, keras.layers.Dense):
        first = f"dense, {layer.units}"
    else:
        first = "{}×{} conv, {}".format(*layer.kernel_size, layer.filters)
    applied = activation(getattr(layer.activation, "__name__", None))
    return [first, applied] if applied else [first]


def _head(layer: Any) -> list[str]:
    if isinstance(layer, DenseAct):
        return [f"dense, {layer.units}", activation(layer.activation)]
    kind = "1×1 conv, global mean" if isinstance(layer, ConvClassifier) else "dense"
    return [f"{kind}, {layer.classes}", activation(layer.activation)]
