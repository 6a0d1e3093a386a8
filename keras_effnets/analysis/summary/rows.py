"""The rows of a summary, one for each call of a layer in a model's trace."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from keras_effnets.analysis.multiply_adds import FREE_OPERATIONS, layer_multiply_adds
from keras_effnets.analysis.summary.field_rules import rule_for
from keras_effnets.analysis.summary.receptive_field import Field
from keras_effnets.analysis.summary.result import LayerRow, ReceptiveField
from keras_effnets.analysis.summary.tracing import Call, Trace, trace


@dataclass(slots=True)
class RowBuilder:
    """Builds rows call by call.

    Args:
        definition: Definition of multiply-adds.
        sizes: Number of values of each parameter of the model, by identity. All other weights are
            statistics.
    """

    definition: str
    sizes: Mapping[int, int]
    counted: set[int] = field(default_factory=set)
    """Weights that a row has already, by identity."""

    def rows(
        self, traced: Trace, fields: Sequence[Field | None], path: str, depth: int
    ) -> tuple[list[LayerRow], list[Field | None]]:
        """Returns the rows of a trace's layers, and the receptive fields of its outputs.

        Args:
            traced: The calls.
            fields: Receptive fields of its inputs.
            path: Path of the enclosing layer, with a trailing slash.
            depth: Depth of the rows.
        """
        seen = dict(zip(map(id, traced.inputs), fields, strict=True))
        rows = []
        for call in traced.calls:
            given = [seen.get(id(tensor)) for tensor in call.inputs]
            if isinstance(call.operation, keras.layers.InputLayer):
                continue
            if isinstance(call.operation, keras.layers.Layer):
                row, found = self.row(call, given, path, depth)
                rows.append(row)
            else:
                rule = rule_for(call.operation)
                found = [rule(call, given) if rule else None] * len(call.outputs)
            seen.update(zip(map(id, call.outputs), found, strict=True))
        return rows, [seen.get(id(tensor)) for tensor in traced.outputs]

    def row(
        self, call: Call, fields: Sequence[Field | None], path: str, depth: int
    ) -> tuple[LayerRow, list[Field | None]]:
        """Returns the row of one call of a layer, and the receptive fields of its outputs."""
        layer = call.operation
        path += layer.name
        inputs, outputs = (_shapes(tensors) for tensors in (call.inputs, call.outputs))
        # Before the inner layers are counted, as their weights belong to this row too.
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
        rows: list[LayerRow] = []
        unknown: list[str] = []
        seen: list[Field | None] = [None] * len(outputs)
        if traced is not None:
            rows, seen = self.rows(traced, fields, f"{path}/", depth + 1)
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
        row = LayerRow(
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
        return row, seen

    def unruled(self, layer: Any, path: str, traced: Trace | None) -> list[str]:
        """Returns why a layer may have multiply-adds that its inner layers do not account for.

        Args:
            layer: A layer without a rule, whose inner layers are counted already.
            path: Its path.
            traced: The calls inside it; None if they are unknown.
        """
        name = _named(layer, path)
        if traced is None:
            return [f"{name}: no rule for this kind"]
        own = [v for v in layer.weights if id(v) in self.sizes and id(v) not in self.counted]
        operations = {
            type(call.operation).__name__
            for call in traced.calls
            if not isinstance(call.operation, keras.layers.Layer)
        }
        reasons = []
        if own:
            names = [variable.name for variable in own[:3]] + ["..."] * (len(own) > 3)
            reasons.append(f"{name}: no rule for its own weights {', '.join(names)}")
        if unruled := sorted(operations - FREE_OPERATIONS):
            reasons.append(f"{name}: no rule for the operations {', '.join(unruled)}")
        return reasons


def _named(layer: Any, path: str) -> str:
    return f"{path} ({type(layer).__name__})"


def _left_open(layer: Any, path: str) -> str:
    return f"{_named(layer, path)}: a size of its inputs or outputs is unknown"


def _traced(layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Trace | None:
    """The calls inside a layer; None if it does not compute with Keras operations only."""
    try:
        return trace(layer, args, kwargs)
    except Exception:  # a user's layer may raise anything
        return None


def _shapes(tensors: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tensor.shape) for tensor in tensors)


def values(variables: Sequence[Any]) -> int:
    """Counts the values in variables."""
    return sum(math.prod(variable.shape) for variable in variables)


def tensor_bytes(tensor: Any) -> int:
    """Bytes of a tensor or a variable."""
    bits = re.search(r"\d+", keras.backend.standardize_dtype(tensor.dtype))
    return math.prod(tensor.shape) * (int(bits[0]) if bits else 8) // 8


def _kernel(layer: Any) -> tuple[int, ...]:
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None) or ()
    # The blocks of keras_effnets have one integer.
    return tuple(size) if isinstance(size, list | tuple) else (size,) * 2


def _public(seen: Field | None) -> ReceptiveField | None:
    if seen is None or seen.features:
        return None
    places = tuple(axis.places for axis in seen.axes)
    return ReceptiveField(sizes=seen.sizes, whole=seen.whole, places=places)
