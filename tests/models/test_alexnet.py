"""AlexNet of 2014 and of 2012 against the sheet, and on shrunken networks."""

from dataclasses import replace

import pytest
import structure

import keras_effnets
from keras_effnets.models import alexnet
from keras_effnets.models.builder import create


def shrunken(config):
    """An eighth of its width, and few hidden units."""
    rows = tuple(row._replace(filters=row.filters // 8) for row in config.rows)
    return replace(config, name="small", rows=rows, hidden=32)


SHRUNKEN = {
    "2014": shrunken(alexnet.VARIANTS[0]),
    "2012": shrunken(alexnet.VARIANTS[1]),
    "together": replace(shrunken(alexnet.VARIANTS[1]), groups=1, lrn=False),
}


def build(kind, **options):
    options = {"classes": 10, "input_shape": (67, 67, 3), "weights": None, **options}
    return create(alexnet.build, SHRUNKEN[kind], options)


def test_counts_are_the_sheets():
    structure.assert_sheet("alexnet", 61_100_840, 714)
    structure.assert_sheet("alexnet_2012", 60_965_224, 724)
    structure.assert_sheet("alexnet_2012", 62_378_344, 1135, groups=1)


@pytest.mark.parametrize("kind", SHRUNKEN)
def test_structure(kind, tmp_path):
    structure.assert_shape(build(kind))
    structure.assert_saves(build(kind), tmp_path)
    structure.assert_trains(build(kind))
    structure.assert_frozen_stays(build(kind, classes=4))


@pytest.mark.parametrize("kind", SHRUNKEN)
def test_features_of_an_odd_picture_with_open_sides(kind):
    structure.assert_open_sides(lambda **options: build(kind, **options), side=97)


@pytest.mark.parametrize(("name", "side"), [("2014", 63), ("2012", 67)])
def test_the_smallest_picture(name, side):
    assert build(name, input_shape=(side, side, 3)).get_layer("pool5").output.shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match=f"height and width must be {side} or more"):
        build(name, input_shape=(side - 1, side, 3))


def test_sides_of_the_papers_table():
    sketch = structure.sketch(lambda: keras_effnets.AlexNet2012(weights=None))
    sides = {layer.name: layer.output.shape[1] for layer in sketch.layers}
    found = [sides[name] for name in ("conv1", "pool1", "conv2", "pool2", "conv5", "pool5")]
    assert found == [55, 27, 27, 13, 13, 6]


def test_dropout_is_before_the_hidden_layers_or_after_them():
    def rates(kind):
        model = build(kind)
        return [model.get_layer(name).dropout_rate for name in ("fc6", "fc7", "classifier")]

    assert rates("2014") == [0.5, 0.5, 0.0]
    assert rates("2012") == [0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("builder", "options", "message"),
    [
        ("AlexNet2012", {"groups": 3}, "groups=3 is not 1 or 2"),
        ("AlexNet", {"dropout": 1}, r"dropout=1 is not a number in \[0, 1\)"),
        ("AlexNet", {"groups": 2, "weights": "imagenet"}, "published set of alexnet_custom"),
        ("AlexNet", {"lrn": True, "weights": "imagenet"}, "published set of alexnet_custom"),
    ],
)
def test_bad_options_name_the_rule(builder, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(keras_effnets, builder)(**{"weights": None, **options})
