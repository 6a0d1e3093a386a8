"""The inside of a block as a graph, from running the block on a symbol."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from keras_effnets.analysis.compare.diagram.words import kind_of, words_of
from keras_effnets.layers import DenseBlock
from keras_effnets.plan.deferred import sketch

_SILENT = ("Pad", "Dropout", "Identity")
"""Operations that a diagram leaves out."""
_ACTIVATIONS = ("Relu", "ReLU", "Silu", "HardSilu", "Sigmoid")


@dataclass
class Node:
    """A box, and the boxes that it takes its input from."""

    words: list[str]
    kind: str
    """`"end"`, or as `words.kind_of` has it."""
    sources: list[int] = field(default_factory=list)
    """Positions of nodes that come earlier."""


def inside(layer: Any) -> list[Node]:
    """The nodes of a block that is built, its input first and its output last."""
    if isinstance(layer, DenseBlock):
        return _dense_layer(layer)
    shape = layer.get_build_config()["input_shape"]

    def build() -> keras.Model:
        inputs = keras.Input(shape[1:])
        return keras.Model(inputs, layer.call(inputs))

    nodes: list[Node] = []
    places: dict[int, int] = {}
    for operation in sketch(build).operations:
        parents = [places[id(node.operation)] for node in operation._inbound_nodes[-1].parent_nodes]
        places[id(operation)] = _append(nodes, operation, parents)
    last = nodes[-1]
    nodes.append(Node(["out"], "end", [nodes.index(last)]))
    return nodes


def _append(nodes: list[Node], operation: Any, parents: list[int]) -> int:
    """Adds an operation, or finds the node that stands for it."""
    name = type(operation).__name__
    if isinstance(operation, keras.layers.InputLayer):
        nodes.append(Node(["in"], "end"))
    elif name in _SILENT:
        return parents[0]
    elif name in _ACTIVATIONS and nodes[parents[0]].kind == "merge":
        nodes[parents[0]].words[0] += f", {words_of(operation)[0]}"
        return parents[0]
    else:
        nodes.append(Node(words_of(operation), kind_of(operation), parents))
    return len(nodes) - 1


def _dense_layer(block: Any) -> list[Node]:
    """One layer of a dense block: the block runs on all of them at once, in parts."""
    first = next(block.sublayers())
    nodes = [Node(["in"], "end")]
    for layer in first.sublayers():
        nodes.append(Node(words_of(layer), kind_of(layer), [len(nodes) - 1]))
    nodes.append(Node(["concatenate"], "merge", [0, len(nodes) - 1]))
    nodes.append(Node([f"and so on, {block.repeats} times"], "end", [len(nodes) - 1]))
    return nodes
