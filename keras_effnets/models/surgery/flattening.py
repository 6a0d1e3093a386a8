"""A network without its blocks: every convolution is a layer of the model itself."""

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
"""Blocks that stay: they hold the labels."""
_IDLE = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    StochasticDepth,
)
"""Layers that do nothing but while training, or what is written in their `call`."""

Leaf = Callable[[Any, str, Any], Any]
"""Gets a layer, a name that no other has, and its inputs; gives its outputs."""


def flatten(model: keras.Model, leaf: Leaf) -> keras.Model:
    """A functional model that computes what `model` does for inference, without blocks.

    Blocks of ours and models within the model are opened; layers that only act while training are
    left out. A layer that is called twice is two layers.

    Args:
        model: Any functional or sequential one.
        leaf: Applies each layer that is no block, or one in its place.

    Raises:
        ValueError: For a model that is neither functional nor sequential, or not built.
    """
    inputs = _inputs_like(_graph(model))
    outputs = _run(model, "", inputs, _uniquely(leaf))
    return keras.Model(inputs, outputs, name=model.name)


def apply_each(model: keras.Model, call: Callable[..., Any]) -> keras.Model:
    """The functional `model` again, with `call(operation, *args, **kwargs)` for each operation."""
    inputs = _inputs_like(model)
    return keras.Model(inputs, model._run_through_graph(inputs, call_fn=call), name=model.name)


def readers(model: keras.Model) -> dict[int, int]:
    """How many operations of the functional `model` read each tensor, by the tensor's id.

    The model's own outputs count as read once more.
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
    """The functional model that `model` is or contains."""
    if isinstance(model, keras.Sequential) and model.built:
        return keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if not isinstance(model, keras.Model) or not hasattr(model, "_nodes"):
        raise ValueError(
            f"model={getattr(model, 'name', model)!r} is a {type(model).__name__}: it must be a "
            "functional or a built sequential keras.Model, whose graph is known"
        )
    return model


def _run(model: keras.Model, scope: str, inputs: Any, leaf: Leaf) -> Any:
    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(operation, keras.layers.Layer):
            return operation(*args, **kwargs)
        if isinstance(operation, keras.layers.InputLayer | keras.layers.Identity):
            return args[0]
        positional = args if len(args) != 1 else args[0]
        others = {key: value for key, value in kwargs.items() if key not in ("training", "mask")}
        if others:
            raise ValueError(
                f"{operation.name}: called with {sorted(others)}: only layers that take nothing "
                "but their inputs can be folded"
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
    """`leaf`, with a number behind a name that comes again."""
    seen: dict[str, int] = {}

    def named(layer: Any, name: str, inputs: Any) -> Any:
        seen[name] = seen.get(name, 0) + 1
        return leaf(layer, name if seen[name] == 1 else f"{name}_{seen[name]}", inputs)

    return named
