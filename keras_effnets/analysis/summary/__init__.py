"""Summaries of any Keras model: the structure and the cost of every layer."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_effnets.analysis.multiply_adds import check_definition
from keras_effnets.analysis.summary.receptive_field import image_field
from keras_effnets.analysis.summary.result import LayerRow, ReceptiveField, Summary
from keras_effnets.analysis.summary.rows import RowBuilder, tensor_bytes, values
from keras_effnets.analysis.summary.sliding import sides
from keras_effnets.analysis.summary.tracing import (
    layers_of,
    parameters_of,
    statistics_of,
    tensors,
    trace,
    traces_forgotten,
)

__all__ = ["LayerRow", "ReceptiveField", "Summary", "summary"]


def summary(
    model: keras.Model,
    batch_size: int = 1,
    *,
    depth: int = 1,
    input_shape: Sequence[Any] | None = None,
    definition: str = "torchinfo",
) -> Summary:
    """Lists a model's layers with shapes, parameters, multiply-adds, memory, receptive fields.

    The model is called on symbolic tensors, so its weights need no values
    (`keras_effnets.plan.deferred.sketch`). Layers inside blocks and nested models are found by
    following the calls, in any block that computes with Keras operations. The model is not
    changed.

    The totals are torchinfo's: parameters exclude moving statistics, and memory is the outputs of
    all layers with parameters, doubled for the gradients. Receptive fields are exact; where
    branches meet, the widest counts. One larger than the image reaches into the padding.

    Args:
        model: Any built Keras model.
        batch_size: Number of samples, 1 or more.
        depth: How many levels of nested layers to list; 1 lists the model's own layers only.
        input_shape: Shape of one sample, (height, width, channels); a sequence of shapes in the
            order of `model.inputs` if the model has several. Required if the model's input size is
            open, or if it is a subclass that does not know its inputs.
        definition: How to count multiply-adds: `"torchinfo"`, or `"paper"`, which counts only the
            kernels of convolutions and dense layers.

    Returns:
        A `Summary`: print it, or call its `tables()`, `markdown()` or `as_dict()`.

    Raises:
        TypeError: `model` is not a Keras model.
        ValueError: An argument is out of its range, the model is not built, its input size is
            open, or it does not take the input shape.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"model={model!r} is a {type(model).__name__}, not a keras.Model")
    for name, value in (("batch_size", batch_size), ("depth", depth)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name}={value!r} is not an integer of 1 or more")
    check_definition(definition)
    _check_built(model)
    symbols = _symbols(model, batch_size, input_shape)
    fields = [image_field(sides(tensor.shape, None)) for tensor in tensors(symbols)]
    parameters, statistics = parameters_of(model), statistics_of(model)
    builder = RowBuilder(definition, {id(v): values([v]) for v in parameters})
    with traces_forgotten(model):
        try:
            traced = trace(model, (symbols,), {})
        except Exception as error:  # a user's layers may raise anything
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            shapes = [tuple(tensor.shape) for tensor in tensors(symbols)]
            raise ValueError(
                f"model={model.name!r} can't be called on inputs of shape {shapes}: {reason}"
            ) from error
        rows, _ = builder.rows(traced, fields, "", 1)
    return Summary(
        name=model.name,
        batch_size=batch_size,
        depth=depth,
        definition=definition,
        inputs=tuple(tuple(tensor.shape) for tensor in traced.inputs),
        rows=tuple(rows),
        parameters=values(parameters),
        trainable=values([v for v in parameters if v.trainable]),
        statistics=values(statistics),
        multiply_adds=sum(row.multiply_adds for row in rows),
        unknown=(
            *(reason for row in rows for reason in row.unknown),
            *builder.unruled(model, model.name, traced),
        ),
        input_bytes=sum(map(tensor_bytes, traced.inputs)),
        activation_bytes=sum(row.activation_bytes for row in rows),
        parameter_bytes=sum(map(tensor_bytes, parameters)),
        statistics_bytes=sum(map(tensor_bytes, statistics)),
    )


def _check_built(model: Any) -> None:
    """Raises ValueError if tracing would build layers, and so allocate weights."""
    missing = [layer.name for layer in layers_of(model) if not layer.built]
    if not model.built:
        raise ValueError(
            f"model={model.name!r} is not built, so its layers have no shapes: call it on an image "
            "or build it for an input shape first"
        )
    if missing:
        raise ValueError(
            f"model={model.name!r} has layers that are not built: {', '.join(missing[:5])}; call "
            "the model on an image first"
        )


def _symbols(model: Any, batch_size: int, input_shape: Sequence[Any] | None) -> Any:
    """Symbolic inputs of that batch size and shape, in the model's own structure."""
    known = getattr(model, "inputs", None)
    if not known:
        if input_shape is None:
            raise ValueError(
                f"model={model.name!r} is a subclass of Model that does not know its inputs: pass "
                "input_shape=(height, width, channels)"
            )
        return keras.KerasTensor(
            _shape(model, (None,) * (len(input_shape) + 1), batch_size, input_shape)
        )
    wanted: Sequence[Any] = [None] * len(known)
    if input_shape is not None:
        nested = bool(input_shape) and isinstance(input_shape[0], list | tuple)
        wanted = input_shape if nested else [input_shape]
        if len(wanted) != len(known):
            raise ValueError(
                f"input_shape={input_shape!r} has {len(wanted)} shapes; model={model.name!r} has "
                f"{len(known)} inputs"
            )
    fresh = {
        id(tensor): keras.KerasTensor(
            _shape(model, tensor.shape, batch_size, shape), dtype=tensor.dtype
        )
        for tensor, shape in zip(known, wanted, strict=True)
    }
    structure = getattr(model, "_inputs_struct", known[0] if len(known) == 1 else known)
    return keras.tree.map_structure(lambda tensor: fresh[id(tensor)], structure)


def _shape(
    model: Any, shape: Sequence[int | None], batch_size: int, wanted: Sequence[Any] | None
) -> tuple[int, ...]:
    batch, *sample = shape
    if batch not in (None, batch_size):
        raise ValueError(
            f"batch_size={batch_size}: model={model.name!r} has a fixed batch size of {batch}"
        )
    if wanted is None:
        if None in sample:
            raise ValueError(
                f"model={model.name!r} takes images of any size, {tuple(shape)}: pass "
                "input_shape=(height, width, channels)"
            )
        return (batch_size, *(side for side in sample if side is not None))
    fits = len(wanted) == len(sample) and all(
        isinstance(side, int) and side > 0 and fixed in (None, side)
        for side, fixed in zip(wanted, sample, strict=True)
    )
    if not fits:
        raise ValueError(
            f"input_shape={tuple(wanted)!r} does not fit model={model.name!r}, which takes "
            f"{tuple(sample)}"
        )
    return (batch_size, *wanted)
