"""The layout of a block's graph: rows by distance from the input, columns by branch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from keras_effnets.analysis.compare.diagram.graph import Node


class Place(NamedTuple):
    """The row and the columns of a box."""

    row: int
    first: int
    last: int


class Edge(NamedTuple):
    """A line from one box down to another, in a column."""

    source: int
    target: int
    column: int


class Layout(NamedTuple):
    """The layout of a whole graph."""

    places: list[Place]
    edges: list[Edge]
    rows: int
    columns: int


def lay_out(nodes: Sequence[Node]) -> Layout:
    """Places every node below its sources, each branch in its own column.

    At a fork the longest branch goes straight down; where branches meet, the box spans them all.
    """
    below = _longest_below(nodes)
    rows: list[int] = []
    for node in nodes:
        rows.append(1 + max((rows[source] for source in node.sources), default=-1))
    edges: list[Edge] = []
    own: dict[int, int] = {0: 0}
    used = 1
    for index in range(len(nodes)):
        incoming = [edge.column for edge in edges if edge.target == index]
        own.setdefault(index, min(incoming, default=0))
        targets = [i for i, node in enumerate(nodes) for s in node.sources if s == index]
        targets.sort(key=lambda target: -below[target])
        for rank, target in enumerate(targets):
            column = own[index]
            if rank:
                column, used = used, used + 1
            edges.append(Edge(index, target, column))
    places = []
    for index, node in enumerate(nodes):
        columns = [edge.column for edge in edges if edge.target == index] or [own[index]]
        wide = node.kind == "merge" and len(columns) > 1
        last = max(columns) if wide else own[index]
        places.append(Place(rows[index], own[index], last))
    return Layout(places, edges, max(rows) + 1, used)


def _longest_below(nodes: Sequence[Node]) -> list[int]:
    """The number of boxes after each node, on the longest path to the output."""
    longest = [0] * len(nodes)
    for index in range(len(nodes) - 1, -1, -1):
        for source in nodes[index].sources:
            longest[source] = max(longest[source], longest[index] + 1)
    return longest
