"""Network In Network against the sheet, and on shrunken networks."""

from functools import partial

import pytest
import structure

import keras_effnets
from keras_effnets.plan.deferred import count_parameters, outline

IMAGENET = ((16, 12, 8), (16, 16), (24,), (32, 24))
CIFAR = ((16, 12, 8), (16, 16, 12), (24, 16))
SHRUNKEN = {
    "imagenet": partial(keras_effnets.NiN, widths=IMAGENET, input_shape=(67, 67, 3), classes=10),
    "cifar": partial(keras_effnets.NiNCIFAR, widths=CIFAR),
}


def build(kind, **options):
    return SHRUNKEN[kind](**{"weights": None, **options})


def test_counts_are_the_sheets():
    structure.assert_sheet("nin", 7_595_176, 1100)
    structure.assert_sheet("nin_cifar", 966_986, 222)


def test_cifar_100():
    found = outline(lambda: keras_effnets.NiNCIFAR(weights=None, classes=100))
    assert count_parameters(found) == 984_356


@pytest.mark.parametrize("kind", SHRUNKEN)
def test_structure(kind, tmp_path):
    structure.assert_shape(build(kind))
    structure.assert_saves(build(kind), tmp_path)
    structure.assert_trains(build(kind))
    structure.assert_frozen_stays(build(kind, classes=4))


@pytest.mark.parametrize(("kind", "side"), [("imagenet", 97), ("cifar", 33)])
def test_open_sides(kind, side):
    structure.assert_open_sides(lambda **options: build(kind, **options), side=side)
    model = build(kind, input_shape=(None, None, 3))
    assert model.output_shape == (None, 10)
    assert model(structure.pictures(model, side=side)).shape == (4, 10)


@pytest.mark.parametrize(("name", "sides"), [("nin", [54, 27, 13, 6]), ("nin_cifar", [32, 16, 8])])
def test_sides_of_the_papers_blocks(name, sides):
    sketch = structure.sketch(lambda: keras_effnets.create_model(name, weights=None))
    blocks = [layer for layer in sketch.layers if layer.name.startswith("mlpconv")]
    assert [layer.output.shape[1] for layer in blocks] == sides


@pytest.mark.parametrize(("kind", "side", "last"), [("imagenet", 39, "4"), ("cifar", 4, "3")])
def test_the_smallest_picture(kind, side, last):
    model = build(kind, input_shape=(side, side, 3))
    assert model.get_layer(f"mlpconv{last}").output.shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match=f"height and width must be {side} or more"):
        build(kind, input_shape=(side, side - 1, 3))


@pytest.mark.parametrize(
    ("name", "dropped"), [("imagenet", [0, 0, 0, 0.5]), ("cifar", [0, 0.5, 0.5])]
)
def test_where_dropout_is(name, dropped):
    blocks = [layer for layer in build(name).layers if layer.name.startswith("mlpconv")]
    assert [layer.dropout_rate for layer in blocks] == dropped


@pytest.mark.parametrize(
    "widths", [(), ((8,), (8,)), ((8,), (8,), ()), ((8,), (8,), (0,)), ((8,), (8,), (1.5,)), 8]
)
def test_bad_widths_name_the_rule(widths):
    with pytest.raises(ValueError, match=r"widths=.* are not 3 sequences, one per block"):
        keras_effnets.NiNCIFAR(weights=None, widths=widths)
