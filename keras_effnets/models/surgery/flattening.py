"""A network without blocks: every convolution becomes a layer of the model itself."""

from collections.abc import Callable
from typing import Any

import keras

from keras_effnets.layers import (
    AuxiliaryClassifier,
    Classifier,
    ConvClassifier,
    StochasticDepth,
)
from keras_effnets.layers.chain import Chain

_WHOLE = (AuxiliaryClassifier, Classifier, ConvClassifier)
"""Blocks that stay, because they hold the labels."""
_IDLE = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    StochasticDepth,
)
"""Layers that act only while training; for inference their `call` is traced instead."""

Leaf = Callable[[Any, str, Any], Any]
"""Takes a layer, a unique name and the layer's inputs; returns its outputs."""


def flatten(model: keras.Model, leaf: Leaf) -> keras.Model:
    """Returns a functional model without blocks that does the same as `model` at inference.

    This package's blocks and models within the model are replaced by their layers; layers that act
    only while training are left out. A layer that is called twice becomes two layers.

    Args:
        model: Any functional or sequential model.
        leaf: Applies a layer that is not a block, or a replacement of it.

    Raises:
        ValueError: The model is neither functional nor sequential, or is not built.
    """
    inputs = _inputs_like(_graph(model))
    outputs = _run(model, "", inputs, _uniquely(leaf))
    return keras.Model(inputs, outputs, name=model.name)


def apply_each(model: keras.Model, call: Callable[..., Any]) -> keras.Model:
    """Rebuilds the functional `model` with `call(operation, *args, **kwargs)` per operation."""
    inputs = _inputs_like(model)
    return keras.Model(inputs, model._run_through_graph(inputs, call_fn=call), name=model.name)


def readers(model: keras.Model) -> dict[int, int]:
    """Returns how many operations of the functional `model` read each tensor, by its id.

    Being an output of the model counts as one more.
    """
    counts: dict[int, int] = {}
    nodes = [node for level in model._nodes_by_depth.values() for node in level]
    for tensor in (*(x for node in nodes for x in node.input_tensors), *model.outputs):
        counts[id(tensor)] = counts.get(id(tensor), 0) + 1
    return counts


def _inputs_like(model: keras.Model) -> Any:
    return keras.tree.map_structure(
        lambda x: keras.Input(batch_shape=x.shape, dtype=x.dtype, name=x.name), model.input
    )


def _graph(model: Any) -> keras.Model:
    """Returns the functional model that `model` is or contains."""
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "_nodes"):
        raise ValueError(
            f"model={getattr(model, 'name', model)!r} is a {type(model).__name__}: it must be a "
            "functional or a built sequential keras.Model"
        )
    return model


def _run(model: keras.Model, scope: str, inputs: Any, leaf: Leaf) -> Any:
    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(operation, keras.layers.Layer):
            return operation(*args, **kwargs)
        if isinstance(operation, keras.layers.InputLayer | keras.layers.Identity):
            return args[0]
        positional = args if len(args) != 1 else args[0]
        extra = {key: value for key, value in kwargs.items() if key not in ("training", "mask")}
        if extra:
            raise ValueError(
                f"{operation.name}: called with {sorted(extra)}; only layers called with "
                "nothing but their inputs can be folded"
            )
        return _apply(operation, scope + operation.name, positional, leaf)

    return _graph(model)._run_through_graph(inputs, call_fn=call)


def _apply(layer: Any, name: str, inputs: Any, leaf: Leaf) -> Any:
    if isinstance(layer, _IDLE):
        return layer.call(inputs, training=False)
    if isinstance(layer, keras.Model):
        return _run(layer, f"{name}_", inputs, leaf)
    if isinstance(layer, Chain) and not isinstance(layer, _WHOLE):
        return layer.unrolled(
            inputs, lambda part, inner, x: _apply(inner, f"{name}_{part}", x, leaf)
        )
    return leaf(layer, name, inputs)


def _uniquely(leaf: Leaf) -> Leaf:
    """Returns `leaf` with a number after each repeated name."""
    seen: dict[str, int] = {}

    def named(layer: Any, name: str, inputs: Any) -> Any:
        seen[name] = seen.get(name, 0) + 1
        return leaf(layer, name if seen[name] == 1 else f"{name}_{seen[name]}", inputs)

    return named
