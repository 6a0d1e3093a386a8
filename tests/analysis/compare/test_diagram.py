import re
import xml.etree.ElementTree as ElementTree

import pytest

from keras_effnets.analysis.compare.diagram import diagram
from keras_effnets.analysis.compare.diagram.graph import inside
from keras_effnets.analysis.compare.diagram.layout import lay_out
from keras_effnets.models.registry import create_model
from keras_effnets.plan.deferred import sketch


def block(name, layer, side=224):
    network = sketch(lambda: create_model(name, weights=None, input_shape=(side, side, 3)))
    return inside(network.get_layer(layer))


def shown(nodes):
    return [(" / ".join(filter(None, node.text)), node.sources) for node in nodes]


def test_the_inside_of_a_bottleneck_is_what_it_runs():
    assert shown(block("resnet50", "stage2_block0")) == [
        ("in", []),
        ("1×1 conv, 128 / batch norm, ReLU", [0]),
        ("3×3 conv, 128, stride 2 / batch norm, ReLU", [1]),
        ("1×1 conv, 512 / batch norm", [2]),
        ("1×1 conv, 512, stride 2 / batch norm", [0]),
        ("add, ReLU", [3, 4]),
        ("out", [5]),
    ]


def test_a_block_without_a_skip_has_none():
    assert shown(block("mobilenet_v2", "stage2_block0")) == [
        ("in", []),
        ("1×1 conv, 96 / batch norm, ReLU6", [0]),
        ("3×3 depthwise, stride 2 / batch norm, ReLU6", [1]),
        ("1×1 conv, 24 / batch norm", [2]),
        ("out", [3]),
    ]


def test_groups_gates_and_pools_are_named():
    words = " ".join(text for text, _ in shown(block("se_resnext50_32x4d", "stage1_block1")))
    assert "3×3 conv, 128 in 32 groups" in words
    assert "squeeze-and-excitation / 16 squeezed channels" in words
    assert "3×3 max pool" in " ".join(t for t, _ in shown(block("googlenet", "inception3a")))


def test_a_dense_block_shows_one_of_its_layers():
    nodes = block("densenet_cifar", "stage1", 32)
    assert shown(nodes)[1:] == [
        ("batch norm, ReLU / 1×1 conv, 48", [0]),
        ("batch norm, ReLU / 3×3 conv, 12", [1]),
        ("concatenate", [0, 2]),
        ("… 16 layers in all", [3]),
    ]


@pytest.mark.parametrize(
    ("name", "layer"), [("googlenet", "inception4a"), ("resnet50", "stage1_block0")]
)
def test_boxes_and_lines_do_not_cover_each_other(name, layer):
    nodes = block(name, layer)
    layout = lay_out(nodes)
    cells = [
        (place.row, column)
        for place in layout.places
        for column in range(place.first, place.last + 1)
    ]
    assert len(set(cells)) == len(cells)
    for edge in layout.edges:
        source, target = layout.places[edge.source], layout.places[edge.target]
        assert source.row < target.row
        passed = {(row, edge.column) for row in range(source.row + 1, target.row)}
        assert passed.isdisjoint(cells)


def test_a_diagram_shows_the_row_of_layers_and_each_kind_of_block():
    drawn = diagram(["mobilenet_v3_small"])
    root = ElementTree.fromstring(drawn)
    texts = [e.text for e in root.iter() if e.tag.endswith("}text")]
    assert texts[0] == "mobilenet_v3_small"
    assert {"stem", "112² × 16", "classifier", "1000"} <= set(texts)
    assert any(text.startswith("InvertedResidualSE: ") for text in texts)
    assert any(text.startswith("InvertedResidual: ") for text in texts)
    assert "SqueezeExcite" in texts
    assert "multiply" in texts


def test_nothing_is_outside_the_picture():
    drawn = diagram(["googlenet", "inception_v1"])
    root = ElementTree.fromstring(drawn)
    _, _, width, height = map(float, root.get("viewBox").split())

    def within(element, dx, dy):
        move = re.match(r"translate\(([\d.]+) ([\d.]+)\)", element.get("transform", ""))
        dx, dy = (dx + float(move[1]), dy + float(move[2])) if move else (dx, dy)
        if element.tag.endswith("}rect") and element.get("width") != "100%":
            x, y, w, h = (float(element.get(key)) for key in ("x", "y", "width", "height"))
            assert 0 <= x + dx <= x + w + dx <= width
            assert 0 <= y + dy <= y + h + dy <= height
        for child in element:
            within(child, dx, dy)

    within(root, 0, 0)


def test_mistakes():
    with pytest.raises(ValueError, match="'resnet51' is not the name of a model"):
        diagram(["resnet51"])
    with pytest.raises(ValueError, match="names is empty"):
        diagram([])
