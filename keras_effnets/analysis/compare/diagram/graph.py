"""The inside of a block as a graph, from calling the block on a symbolic tensor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras

from keras_effnets.analysis.compare.diagram.box_text import box_text, kind_of
from keras_effnets.layers import DenseBlock
from keras_effnets.plan.deferred import sketch

_HIDDEN = ("Pad", "Dropout", "Identity")
"""Operations that a diagram leaves out."""
_ACTIVATIONS = ("Relu", "ReLU", "Silu", "HardSilu", "Sigmoid")


@dataclass
class Node:
    """A box and the boxes that feed it."""

    text: list[str]
    kind: str
    """`"end"`, or one of the kinds of `box_text.kind_of`."""
    sources: list[int] = field(default_factory=list)
    """Indices of earlier nodes."""


def inside(layer: Any) -> list[Node]:
    """The nodes of a built block, from its input to its output."""
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
    """Returns the index of an operation's node, which is added unless it is merged or hidden."""
    name = type(operation).__name__
    if isinstance(operation, keras.layers.InputLayer):
        nodes.append(Node(["in"], "end"))
    elif name in _HIDDEN:
        return parents[0]
    elif name in _ACTIVATIONS and nodes[parents[0]].kind == "merge":
        nodes[parents[0]].text[0] += f", {box_text(operation)[0]}"
        return parents[0]
    else:
        nodes.append(Node(box_text(operation), kind_of(operation), parents))
    return len(nodes) - 1


def _dense_layer(block: Any) -> list[Node]:
    """The first layer of a dense block, whose call does not run its layers one by one."""
    first = next(block.sublayers())
    nodes = [Node(["in"], "end")]
    for layer in first.sublayers():
        nodes.append(Node(box_text(layer), kind_of(layer), [len(nodes) - 1]))
    nodes.append(Node(["concatenate"], "merge", [0, len(nodes) - 1]))
    nodes.append(Node([f"… {block.repeats} layers in all"], "end", [len(nodes) - 1]))
    return nodes
