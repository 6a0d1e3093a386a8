"""The effect of sliding windows, padding, slices and upsampling on a receptive field.

Each function takes a call and the field of its inputs, and returns the field of its outputs; None
if that is unknown.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import keras

from keras_effnets.analysis.summary.receptive_field import Field, FieldAxis
from keras_effnets.analysis.summary.tracing import Call


def sides(shape: Sequence[int | None], data_format: str | None) -> tuple[Any, ...]:
    """The sides of a map: its shape without batch and channels."""
    first = (data_format or keras.config.image_data_format()) == "channels_first"
    return tuple(shape[2:] if first else shape[1:-1])


def window(call: Call, field: Field) -> Field:
    """A convolution or a pooling."""
    operation = call.operation
    kernels = getattr(operation, "kernel_size", None) or operation.pool_size
    strides = operation.strides or kernels
    return _slid(
        field,
        _sides_out(call),
        _each(kernels, field.axes),
        _each(strides, field.axes),
        _each(getattr(operation, "dilation_rate", 1), field.axes),
        operation.padding,
    )


def _slid(
    field: Field,
    out: tuple[int, ...],
    kernels: Iterable[int],
    strides: Iterable[int],
    dilations: Iterable[int],
    padding: str,
) -> Field:
    axes = []
    for axis, places, kernel, stride, dilation in zip(
        field.axes, out, kernels, strides, dilations, strict=True
    ):
        span = dilation * (kernel - 1) + 1
        before = 0
        if padding == "same":
            before = max((places - 1) * stride + span - axis.places, 0) // 2
        elif padding == "causal":
            before = span - 1
        axes.append(axis.windowed(places, kernel, stride=stride, dilation=dilation, before=before))
    return field.moved(axes)


def transposed(call: Call, field: Field) -> Field:
    """A transposed convolution."""
    layer = call.operation
    axes = []
    for axis, places, kernel, stride, dilation in zip(
        field.axes,
        _sides_out(call),
        layer.kernel_size,
        _each(layer.strides, field.axes),
        _each(layer.dilation_rate, field.axes),
        strict=True,
    ):
        span = dilation * (kernel - 1) + 1
        surplus = (axis.places - 1) * stride + span - places
        before = max(surplus, 0) // 2 if layer.padding == "same" else 0
        axes.append(axis.spread(places, span, stride=stride, before=before))
    return field.moved(axes)


def max_pooled(call: Call, field: Field) -> Field:
    """Max pooling of `keras_effnets.layers`, which pads by itself."""
    layer = call.operation
    return field.moved(
        axis.windowed(places, layer.pool_size, stride=layer.strides, before=layer.padding)
        for axis, places in zip(field.axes, _sides_out(call), strict=True)
    )


def strided_shortcut(call: Call, field: Field) -> Field:
    """A shortcut that subsamples or averages."""
    layer = call.operation
    out = _sides_out(call)
    one = [1] * len(out)
    kernels = [layer.strides if layer.pool else 1] * len(out)
    return _slid(field, out, kernels, [layer.strides] * len(out), one, "same")


def tiled(call: Call, field: Field) -> Field:
    """Adaptive pooling."""
    return field.moved(
        axis.tiled(places) for axis, places in zip(field.axes, _sides_out(call), strict=True)
    )


def upsampled(call: Call, field: Field) -> Field | None:
    """Nearest and bilinear upsampling; the fields of other kinds are unknown."""
    kind = getattr(call.operation, "interpolation", "nearest")
    if kind not in ("nearest", "bilinear"):
        return None
    times = _each(call.operation.size, field.axes)
    return field.moved(
        axis.repeated(each) if kind == "nearest" or each == 1 else axis.interpolated(each)
        for axis, each in zip(field.axes, times, strict=True)
    )


def padded(call: Call, field: Field) -> Field:
    """A layer that pads."""
    return _shifted(field, _sides_out(call), _pairs(call.operation.padding))


def cropped(call: Call, field: Field) -> Field:
    """A layer that crops."""
    pairs = _pairs(call.operation.cropping)
    return _shifted(field, _sides_out(call), [(-before, -after) for before, after in pairs])


def _pairs(margins: Any) -> list[tuple[int, int]]:
    """One pair per axis; layers for one axis have a single pair."""
    return [tuple(margins)] if isinstance(margins[0], int) else [tuple(pair) for pair in margins]


def padded_by_operation(call: Call, field: Field) -> Field | None:
    """`keras.ops.pad` of a channels-last map."""
    widths = list(call.operation.pad_width)
    out = call.outputs[0].shape
    if len(widths) != len(out) or len(out) != len(field.axes) + 2:
        return None
    return _shifted(field, sides(out, "channels_last"), [tuple(pair) for pair in widths[1:-1]])


def _shifted(field: Field, out: tuple[int, ...], pairs: Iterable[tuple[int, int]]) -> Field:
    return field.moved(
        axis.shifted(places, before)
        for axis, places, (before, _) in zip(field.axes, out, pairs, strict=True)
    )


def sliced(call: Call, field: Field) -> Field | None:
    """Basic slices with a positive step."""
    key = call.args[1] if len(call.args) > 1 else call.kwargs["key"]
    keys = list(key) if isinstance(key, tuple) else [key]
    if all(axis.places == 1 for axis in field.axes):
        return field
    shape = call.inputs[0].shape
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * (len(shape) - len(keys) + 1)
    keys += [slice(None)] * (len(shape) - len(keys))
    if not all(isinstance(each, slice) for each in keys) or field.flat:
        return None
    axes = []
    for axis, each in zip(field.axes, keys[1:], strict=False):
        start, stop, step = each.indices(axis.places)
        if step < 1:
            return None
        places = len(range(start, stop, step))
        axes.append(axis.windowed(places, 1, stride=step, before=-start))
    return field.moved(axes)


def _sides_out(call: Call) -> tuple[int, ...]:
    shape = call.outputs[0].shape
    return sides(shape, getattr(call.operation, "data_format", "channels_last"))


def _each(value: Any, axes: Sequence[FieldAxis]) -> tuple[Any, ...]:
    """One value for each axis."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * len(axes)
