"""Rules for receptive fields, one for each kind of layer and operation.

Without a rule the field becomes unknown; nothing is guessed.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from keras import layers

from keras_effnets import layers as ours
from keras_effnets.analysis.multiply_adds import (
    CONVOLUTIONS,
    DEPTHWISE,
    POINTWISE,
    SEPARABLE,
    TRANSPOSED,
)
from keras_effnets.analysis.summary.receptive_field import Field, joined
from keras_effnets.analysis.summary.sliding import (
    cropped,
    max_pooled,
    padded,
    padded_by_operation,
    sliced,
    strided_shortcut,
    tiled,
    transposed,
    upsampled,
    window,
)
from keras_effnets.analysis.summary.tracing import Call

Fields = Sequence[Field | None]
FieldRule = Callable[[Call, Field], Field | None]


def rule_for(operation: Any) -> Callable[[Call, Fields], Field | None] | None:
    """Returns the rule for a layer or an operation; None if it has none.

    A rule takes a call and the fields of its inputs, None if unknown, and returns the field of
    its outputs.
    """
    found = _rule_of(operation.__class__)
    if found is None:
        return None
    return lambda call, fields: _applied(found, call, fields)


@functools.cache
def _rule_of(kind: Any) -> FieldRule | None:
    if not issubclass(kind, layers.Layer):
        return _OPERATIONS.get(kind.__name__)
    return next((rule for kinds, rule in _LAYERS if issubclass(kind, kinds)), None)


def _applied(rule: FieldRule, call: Call, fields: Fields) -> Field | None:
    """Applies a rule to the joined field of all inputs."""
    field = joined(fields)
    if field is None or field.features:
        return field
    return rule(call, field)


def _same(call: Call, field: Field) -> Field:
    return field


def _by_channel(call: Call, field: Field) -> Field | None:
    """An operation along one axis, which keeps the windows if that is the channel axis."""
    axis = getattr(call.operation, "axis", -1)
    axis = axis[0] if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    rank = len(call.outputs[0].shape)
    local = axis in (-1, rank - 1) or not field.axes
    return field if local else None


def _norm(call: Call, field: Field) -> Field:
    """A norm, whose statistics are local if it normalises channels only."""
    axis = call.operation.axis
    axes = axis if isinstance(axis, list | tuple) else [axis]
    rank = len(call.outputs[0].shape)
    return field if all(each in (-1, rank - 1) for each in axes) else _seen_whole(call, field)


def _seen_whole(call: Call, field: Field) -> Field:
    """Each place sees the whole image, and the number of places stays."""
    wide = field.collapsed()
    axes = zip(wide.axes, field.axes, strict=True)
    return wide.moved(replace(axis, places=old.places) for axis, old in axes)


def _all(call: Call, field: Field) -> Field:
    return field.collapsed()


def _dense(call: Call, field: Field) -> Field:
    return field.collapsed() if field.flat else field


def _flatten(call: Call, field: Field) -> Field:
    return replace(field, flat=True)


def _reshaped(call: Call, field: Field) -> Field | None:
    """Known if no place gets new neighbours."""
    before, after = (shapes[0].shape for shapes in (call.inputs, call.outputs))
    if all(axis.places == 1 for axis in field.axes):
        return field
    if before == after:
        return field
    return replace(field, flat=True) if len(after) == 2 else None


def _reduced(call: Call, field: Field) -> Field | None:
    """A reduction, known if it covers all sides of the image or none."""
    rank = len(call.inputs[0].shape)
    axis = call.operation.axis
    axes = range(rank) if axis is None else axis if isinstance(axis, list | tuple) else [axis]
    reduced = {each % rank for each in axes}
    image = set(range(1, 1 + len(field.axes)))
    if field.flat or not reduced & image:
        return field
    return field.collapsed() if image <= reduced else None


_POOLED, _GLOBAL, _ADAPTIVE = (
    tuple(
        getattr(layers, f"{prefix}{kind}Pooling{rank}D")
        for kind in ("Average", "Max")
        for rank in (1, 2, 3)
    )
    for prefix in ("", "Global", "Adaptive")
)

_LAYERS: tuple[tuple[tuple[type, ...], FieldRule], ...] = (
    # Some Keras layers subclass others: subclasses come first.
    (TRANSPOSED, transposed),
    ((*SEPARABLE, *DEPTHWISE, *CONVOLUTIONS, *_POOLED), window),
    ((ours.MaxPool,), max_pooled),
    ((ours.PaddedShortcut,), strided_shortcut),
    ((*POINTWISE, layers.PReLU), _same),
    # Batch norms keep their statistics per channel, whatever the axis is.
    ((layers.BatchNormalization,), _same),
    ((layers.LayerNormalization, layers.RMSNormalization, layers.UnitNormalization), _norm),
    ((layers.GroupNormalization,), _seen_whole),
    ((layers.Softmax, layers.Concatenate), _by_channel),
    (_GLOBAL, _all),
    (_ADAPTIVE, tiled),
    ((layers.Dense,), _dense),
    ((layers.Flatten,), _flatten),
    ((layers.Reshape,), _reshaped),
    ((layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D), padded),
    ((layers.Cropping1D, layers.Cropping2D, layers.Cropping3D), cropped),
    ((layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D), upsampled),
)

_OPERATIONS: dict[str, FieldRule] = {
    **dict.fromkeys(
        (
            *("Absolute", "Add", "Cast", "Clip", "ConvertToTensor", "Copy", "Divide", "Elu"),
            *("Equal", "Exp", "Gelu", "Greater", "HardSigmoid", "HardSilu", "HardTanh"),
            *("LeakyRelu", "Less", "Log", "Log1p", "Maximum", "Minimum", "Multiply"),
            *("Negative", "Power", "ReLU", "Reciprocal", "Relu", "Relu6", "Round", "Rsqrt"),
            *("Selu", "Sigmoid", "Sign", "Silu", "Softplus", "Softsign", "Sqrt", "Square"),
            *("StopGradient", "Subtract", "Tanh", "TrueDivide", "Where"),
        ),
        _same,
    ),
    **dict.fromkeys(("Concatenate", "Softmax", "LogSoftmax"), _by_channel),
    **dict.fromkeys(("MaxPool", "AveragePool"), window),
    **dict.fromkeys(("Amax", "Amin", "Max", "Mean", "Min", "Std", "Sum", "Var"), _reduced),
    **dict.fromkeys(("ExpandDims", "Reshape", "Squeeze"), _reshaped),
    "GetItem": sliced,
    "Pad": padded_by_operation,
}
