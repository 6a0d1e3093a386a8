"""The calls inside a layer, traced with Keras's symbolic tensors.

This module and `plan.deferred` are the only ones that rely on Keras's internals.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import KerasTensor
from keras.src import backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a layer or of an operation of `keras.ops`."""

    operation: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    inputs: list[KerasTensor]
    """The tensors among the arguments, in order."""
    outputs: list[KerasTensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The calls inside one call of a layer."""

    inputs: list[KerasTensor]
    outputs: list[KerasTensor]
    calls: list[Call]
    """Each after the calls that it depends on."""


def trace(layer: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Trace:
    """Runs `layer.call` on symbolic tensors; no numbers are computed.

    Args:
        layer: A built layer or model.
        args: Its positional arguments, with symbolic tensors.
        kwargs: Its other arguments.

    Raises:
        Exception: Any error of a layer that cannot handle symbolic tensors.
    """
    args, kwargs = keras.tree.map_structure(_fresh, (args, dict(kwargs)))
    with _symbols_are_tensors():
        outputs = tensors(layer.call(*args, **kwargs))
    return Trace(inputs=tensors((args, kwargs)), outputs=outputs, calls=_calls(outputs))


@contextlib.contextmanager
def _symbols_are_tensors() -> Iterator[None]:
    """Lets symbolic tensors pass through `convert_to_tensor`.

    Some Keras functions, such as `keras.activations.hard_silu`, convert their arguments before
    they check for symbolic tensors, and would fail.
    """
    convert = backend.convert_to_tensor

    def passing(x: Any, *args: Any, **kwargs: Any) -> Any:
        return x if isinstance(x, KerasTensor) else convert(x, *args, **kwargs)

    backend.convert_to_tensor = passing
    try:
        yield
    finally:
        backend.convert_to_tensor = convert


def tensors(structure: Any) -> list[KerasTensor]:
    """The symbolic tensors in nested lists, tuples and dicts."""
    return [leaf for leaf in keras.tree.flatten(structure) if isinstance(leaf, KerasTensor)]


def _fresh(value: Any) -> Any:
    return KerasTensor(value.shape, value.dtype) if isinstance(value, KerasTensor) else value


def _calls(outputs: list[KerasTensor]) -> list[Call]:
    """The calls that lead to `outputs`, in topological order, branch by branch."""
    found: list[Call] = []
    begun: set[int] = set()
    # A node comes back on this stack, marked ready, once its inputs are done.
    waiting = [(node, False) for node in reversed(_makers(outputs))]
    while waiting:
        node, ready = waiting.pop()
        if ready:
            found.append(
                Call(
                    operation=node.operation,
                    args=node.arguments.args,
                    kwargs=node.arguments.kwargs,
                    inputs=node.input_tensors,
                    outputs=node.outputs,
                )
            )
        elif id(node) not in begun:
            begun.add(id(node))
            waiting.append((node, True))
            waiting += [(maker, False) for maker in reversed(_makers(node.input_tensors))]
    return found


def _makers(symbols: list[KerasTensor]) -> list[Any]:
    """The nodes that produced the tensors."""
    histories = [getattr(symbol, "_keras_history", None) for symbol in symbols]
    return [
        history.operation._inbound_nodes[history.node_index]
        for history in histories
        if history is not None and history.operation is not None
    ]


@contextlib.contextmanager
def traces_forgotten(model: keras.Model) -> Iterator[None]:
    """Removes the nodes that Keras adds to `model`'s layers when they are called in this block."""
    operations = {id(layer): layer for layer in layers_of(model)}
    for layer in layers_of(model):
        operations.update((id(each), each) for each in getattr(layer, "operations", ()))
    kept = [
        (nodes, len(nodes))
        for each in operations.values()
        for nodes in (each._inbound_nodes, each._outbound_nodes)
    ]
    try:
        yield
    finally:
        for nodes, length in kept:
            del nodes[length:]


def layers_of(layer: Any) -> list[Any]:
    """`layer` and all layers inside it, at any depth."""
    return list(layer._flatten_layers())


def parameters_of(layer: Any) -> list[Any]:
    """The weights that train unless their layer is frozen."""
    found = {id(v): v for each in layers_of(layer) for v in each._trainable_variables}
    return list(found.values())


def statistics_of(layer: Any) -> list[Any]:
    """The weights that never train, such as a batch norm's moving mean."""
    trainable = {id(parameter) for parameter in parameters_of(layer)}
    return [weight for weight in layer.weights if id(weight) not in trainable]
