"""A network's diagram as self-contained SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import keras

from keras_effnets.analysis.compare.diagram.box_text import BLOCKS, kind_of
from keras_effnets.analysis.compare.diagram.graph import Node, inside
from keras_effnets.analysis.compare.diagram.layout import lay_out
from keras_effnets.analysis.costs import default_build
from keras_effnets.layers import nested_layers
from keras_effnets.plan.deferred import sketch

_COLUMN, _ROW, _BOX, _BAR = 172, 50, (158, 34), 62
_PER_LINE, _LINE = 14, 150
_INK, _LINES = "#1b1f24", "#8c8c8c"
_TINTS = {  # light tints of the chart's colours
    "conv": "#d4e8f5",
    "depthwise": "#fbe3c0",
    "gate": "#f3dfe9",
    "merge": "#ffffff",
    "other": "#efefef",
}
_SHORT = {
    "AdaptiveAveragePool": "mean pool",
    "DepthwiseSeparable": "Depthw.Sep.",
    "GlobalAveragePooling2D": "global mean",
    "InvertedResidual": "Inverted.Res.",
    "InvertedResidualSE": "Inv.Res.SE",
    "LocalResponseNormalization": "local norm",
    "PreActBottleneck": "PreActBottlen.",
}


def diagram(names: Sequence[str]) -> str:
    """Draws the layers of the first network in a row, then the inside of every kind of block.

    Args:
        names: Networks of one family.

    Raises:
        ValueError: A name is unknown, or `names` is empty.
    """
    if not names:
        raise ValueError("names is empty: expected at least one network")
    networks = [sketch(default_build(name)) for name in names]
    parts, top, width = [], 10.0, 0.0
    for height, across, drawn in (
        _draw_row(names[0], networks[0]),
        _draw_blocks(_kinds(networks)),
    ):
        if drawn:
            parts.append(f'<g transform="translate(10 {top:g})">{drawn}</g>')
            top, width = top + height + 16, max(width, across)
    width += 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {top:g}" '
        f'width="{width:g}" height="{top:g}" font-family="DejaVu Sans, sans-serif">'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _kinds(networks: Sequence[keras.Model]) -> list[tuple[str, list[Node]]]:
    """The block with the most boxes of each kind, with its title."""
    found: dict[str, tuple[str, list[Node]]] = {}
    for network in networks:
        seen = set()
        for layer in nested_layers(network):
            kind = type(layer).__name__
            # Blocks of the same stage and shape look the same inside.
            form = (kind, layer.name.partition("_")[0], str(layer.get_build_config()))
            if not isinstance(layer, BLOCKS) or form in seen:
                continue
            seen.add(form)
            nodes = inside(layer)
            if kind not in found or len(nodes) > len(found[kind][1]):
                where = "" if kind == "SqueezeExcite" else f": {layer.name} of {network.name}"
                found[kind] = (kind + where, nodes)
    return list(found.values())


def _draw_row(name: str, network: keras.Model) -> tuple[float, float, str]:
    """One bar per group of equal layers; its height shows the size of the maps."""
    groups: list[list[Any]] = []
    for layer in network.layers[2:]:
        key = (type(layer).__name__, _stage(layer), layer.output.shape)
        if groups and groups[-1][0] == key:
            groups[-1][1].append(layer)
        else:
            groups.append([key, [layer]])
    parts = [_text(0, 12, name, size=12, anchor="start")]
    for index, (_, layers) in enumerate(groups):
        x = (index % _PER_LINE) * (_BAR + 16) + _BAR / 2
        y = 24 + (index // _PER_LINE) * _LINE
        parts.append(_bar(layers, x, y))
    lines = math.ceil(len(groups) / _PER_LINE)
    return 24 + lines * _LINE, min(len(groups), _PER_LINE) * (_BAR + 16), "".join(parts)


def _stage(layer: Any) -> str:
    stage, _, block = layer.name.partition("_block")
    return stage if block else ""


def _bar(layers: list[Any], x: float, y: float) -> str:
    layer, shape = layers[0], layers[-1].output.shape
    side = shape[1] if len(shape) == 4 else 1
    height = 14 + 8.5 * math.log2(side)
    middle = y + 48
    box = _rectangle(x - _BAR / 2, middle - height / 2, _BAR, height, _TINTS[kind_of(layer)])
    name, kind = _stage(layer) or layer.name, type(layer).__name__
    if len(layers) > 1:
        name += f" ×{len(layers)}"
    size = f"{side}² × {shape[-1]}" if len(shape) == 4 else f"{shape[-1]}"
    return box + "".join(
        _text(x, middle + 54 + 12 * line, words, size=8.5 if line else 9)
        for line, words in enumerate((name, _SHORT.get(kind, kind), size))
    )


def _draw_blocks(kinds: Sequence[tuple[str, list[Node]]]) -> tuple[float, float, str]:
    """The graphs side by side, as many per line as fit."""
    parts = []
    x, y, tallest, widest = 0.0, 0.0, 0.0, 0.0
    for title, nodes in kinds:
        layout = lay_out(nodes)
        width = max(layout.columns * _COLUMN, 6.6 * len(title)) + 20
        if x and x + width > _PER_LINE * (_BAR + 16):
            x, y, tallest = 0.0, y + tallest + 24, 0.0
        parts.append(f'<g transform="translate({x:g} {y:g})">{_graph(title, nodes)}</g>')
        x += width
        widest, tallest = max(widest, x), max(tallest, layout.rows * _ROW + 24)
    return y + tallest, widest, "".join(parts)


def _graph(title: str, nodes: Sequence[Node]) -> str:
    layout = lay_out(nodes)

    def middle(column: float) -> float:
        return column * _COLUMN + _COLUMN / 2

    def top(row: int) -> float:
        return 24 + row * _ROW

    parts = [_text(0, 12, title, size=11, anchor="start")]
    for edge in layout.edges:
        source, target = layout.places[edge.source], layout.places[edge.target]
        x1 = middle(edge.column)
        x0 = x1 if source.first <= edge.column <= source.last else middle(source.first)
        x2 = x1 if target.first <= edge.column <= target.last else middle(target.first)
        y0, y1 = top(source.row) + _BOX[1], top(target.row)
        parts.append(
            f'<path d="M{x0:g} {y0:g}V{y0 + 6:g}H{x1:g}V{y1 - 6:g}H{x2:g}V{y1:g}" fill="none" '
            f'stroke="{_LINES}"/>'
        )
    for node, place in zip(nodes, layout.places, strict=True):
        left = middle(place.first) - _BOX[0] / 2
        width = middle(place.last) + _BOX[0] / 2 - left
        x, y = left + width / 2, top(place.row)
        if node.kind != "end":
            parts.append(_rectangle(left, y, width, _BOX[1], _TINTS[node.kind]))
        lines = [word for word in node.text if word]
        for line, words in enumerate(lines):
            offset = 21 + 12 * line - 6 * (len(lines) - 1)
            parts.append(_text(x, y + offset, words, size=9.5))
    return "".join(parts)


def _rectangle(x: float, y: float, width: float, height: float, fill: str) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="3" fill="{fill}" '
        f'stroke="{_LINES}"/>'
    )


def _text(x: float, y: float, words: str, *, size: float, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" text-anchor="{anchor}" '
        f'fill="{_INK}">{escape(words)}</text>'
    )
