"""One row for each call of a layer: the trace of a model, measured."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_effnets.analysis.multiply_adds import FREE_OPERATIONS, layer_multiply_adds
from keras_effnets.analysis.summary.receptive_field import Field
from keras_effnets.analysis.summary.result import ReceptiveField, Row
from keras_effnets.analysis.summary.tracing import Call, Trace, trace
from keras_effnets.analysis.summary.windows import rule_for


@dataclass(slots=True, kw_only=True)
class Measured:
    """What came of one call."""

    row: Row
    fields: list[Field | None]
    """Of each output."""


@dataclass(slots=True)
class Measuring:
    """Goes through a model call by call.

    Args:
        definition: Of multiply-adds.
        sizes: How many values each parameter of the model has, by identity. All other weights are
            statistics.
    """

    definition: str
    sizes: Mapping[int, int]
    counted: set[int] = field(default_factory=set)
    """The weights that some row has already, by identity."""

    def inside(
        self, traced: Trace, fields: Sequence[Field | None], path: str, depth: int
    ) -> tuple[list[Row], list[Field | None]]:
        """The rows of a trace's layers, and what its outputs see.

        Args:
            traced: The calls.
            fields: What its inputs see.
            path: Of the layer that they are inside of, with a slash behind it.
            depth: Of the rows.
        """
        seen = dict(zip(map(id, traced.inputs), fields, strict=True))
        rows = []
        for call in traced.calls:
            given = [seen.get(id(tensor)) for tensor in call.inputs]
            if isinstance(call.operation, keras.layers.InputLayer):
                continue
            if isinstance(call.operation, keras.layers.Layer):
                measured = self.layer(call, given, path, depth)
                rows.append(measured.row)
                found = measured.fields
            else:
                rule = rule_for(call.operation)
                found = [rule(call, given) if rule else None] * len(call.outputs)
            seen.update(zip(map(id, call.outputs), found, strict=True))
        return rows, [seen.get(id(tensor)) for tensor in traced.outputs]

    def layer(self, call: Call, fields: Sequence[Field | None], path: str, depth: int) -> Measured:
        """The row of one call of a layer, and what its outputs see."""
        layer = call.operation
        path += layer.name
        inputs, outputs = (_shapes(tensors) for tensors in (call.inputs, call.outputs))
        # Before the layers inside: what they count is counted here too.
        held = layer.weights
        weights = {id(weight): weight for weight in held if id(weight) not in self.counted}
        parameters = {key: weight for key, weight in weights.items() if key in self.sizes}
        shared = bool(held) and not weights
        known = not any(None in shape for shape in (*inputs, *outputs))
        count = rule = traced = None
        if known:
            count = layer_multiply_adds(layer, inputs, outputs, self.definition)
            rule = rule_for(layer)
        if known and (count is None or rule is None):
            traced = _traced(layer, call.args, call.kwargs)
        rows: list[Row] = []
        unknown: list[str] = []
        seen: list[Field | None] = [None] * len(outputs)
        if traced is not None:
            rows, seen = self.inside(traced, fields, f"{path}/", depth + 1)
        if rule is not None:
            seen = [rule(call, fields)] * len(outputs)
        if count is not None:
            rows = []
        else:
            count = sum(row.multiply_adds for row in rows)
            unknown = [reason for row in rows for reason in row.unknown]
            unknown += self.unruled(layer, path, traced) if known else [_left_open(layer, path)]
        memory = sum(row.activation_bytes for row in rows)
        if known and not rows and (parameters or shared):
            memory = 2 * sum(map(tensor_bytes, call.outputs))
        self.counted.update(weights)
        row = Row(
            name=layer.name,
            path=path,
            kind=type(layer).__name__,
            depth=depth,
            inputs=inputs,
            outputs=outputs,
            kernel=_kernel(layer),
            parameters=sum(self.sizes[key] for key in parameters),
            trainable=sum(self.sizes[key] for key, v in parameters.items() if v.trainable),
            statistics=values([v for key, v in weights.items() if key not in self.sizes]),
            shared=shared,
            multiply_adds=count,
            unknown=tuple(unknown),
            activation_bytes=memory,
            receptive_field=_public(seen[0]) if seen else None,
            rows=tuple(rows),
        )
        return Measured(row=row, fields=seen)

    def unruled(self, layer: Any, path: str, traced: Trace | None) -> list[str]:
        """Why a layer may have multiply-adds that the rows of the layers inside it lack.

        Args:
            layer: One that has no rule, the layers inside it being counted already.
            path: Its own.
            traced: What happens inside it; None where that is not known.
        """
        name = _named(layer, path)
        if traced is None:
            return [f"{name}: no rule for this kind"]
        own = [v for v in layer.weights if id(v) in self.sizes and id(v) not in self.counted]
        names = {type(call.operation).__name__ for call in _operations(traced)} - FREE_OPERATIONS
        reasons = []
        if own:
            reasons.append(f"{name}: no rule for what it does with {', '.join(_names(own))}")
        if names:
            reasons.append(f"{name}: no rule for the operations {', '.join(sorted(names))}")
        return reasons


def _named(layer: Any, path: str) -> str:
    return f"{path} ({type(layer).__name__})"


def _left_open(layer: Any, path: str) -> str:
    return f"{_named(layer, path)}: a size of its inputs or outputs is left open"


def _operations(traced: Trace) -> list[Call]:
    return [call for call in traced.calls if not isinstance(call.operation, keras.layers.Layer)]


def _names(variables: Sequence[Any], most: int = 3) -> list[str]:
    names = [variable.name for variable in variables[:most]]
    return [*names, "..."] if len(variables) > most else names


def _traced(layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Trace | None:
    """What happens inside; None for a layer that computes with other than Keras's operations."""
    try:
        return trace(layer, args, kwargs)
    except Exception:  # anybody's layer raises anything
        return None


def _shapes(tensors: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tensor.shape) for tensor in tensors)


def values(variables: Sequence[Any]) -> int:
    """How many values there are in variables."""
    return sum(math.prod(variable.shape) for variable in variables)


def tensor_bytes(tensor: Any) -> int:
    """What a tensor or a variable needs, bytes."""
    bits = re.search(r"\d+", keras.backend.standardize_dtype(tensor.dtype))
    return math.prod(tensor.shape) * (int(bits[0]) if bits else 8) // 8


def _kernel(layer: Any) -> tuple[int, ...]:
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None) or ()
    # Blocks of ours name one side.
    return tuple(size) if isinstance(size, list | tuple) else (size,) * 2


def _public(seen: Field | None) -> ReceptiveField | None:
    if seen is None or seen.features:
        return None
    places = tuple(axis.places for axis in seen.axes)
    return ReceptiveField(sizes=seen.sizes, whole=seen.whole, places=places)
