"""ZFNet against the sheet, and on a shrunken network."""

from dataclasses import replace

import pytest
import structure

import keras_effnets
from keras_effnets.models import zfnet
from keras_effnets.models.builder import create

SMALL = replace(
    zfnet.VARIANTS[0],
    name="small",
    rows=tuple(row._replace(filters=row.filters // 8) for row in zfnet.VARIANTS[0].rows),
    hidden=32,
)


def build(**options):
    options = {"classes": 10, "input_shape": (64, 64, 3), "weights": None, **options}
    return create(zfnet.build, SMALL, options)


def test_counts_are_the_sheets():
    structure.assert_sheet("zfnet", 62_357_608, 1168)
    structure.assert_sheet("zfnet_512", 107_627_624, 2477)


def test_structure(tmp_path):
    structure.assert_shape(build())
    structure.assert_saves(build(), tmp_path)
    structure.assert_trains(build())
    structure.assert_frozen_stays(build(classes=4))
    structure.assert_open_sides(build, side=97)


def test_sides_of_the_papers_figure():
    sketch = structure.sketch(lambda: keras_effnets.ZFNet(weights=None))
    sides = {layer.name: layer.output.shape[1] for layer in sketch.layers}
    found = [sides[name] for name in ("conv1", "pool1", "conv2", "pool2", "conv5", "pool5")]
    assert found == [110, 55, 26, 13, 13, 6]


def test_normalisation_follows_the_pooling():
    names = [layer.name for layer in build().layers]
    assert names[names.index("conv1") :][:3] == ["conv1", "pool1", "norm1"]


def test_the_smallest_picture():
    assert build(input_shape=(63, 63, 3)).get_layer("pool5").output.shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match="height and width must be 63 or more"):
        build(input_shape=(62, 63, 3))


def test_bad_options_name_the_rule():
    with pytest.raises(ValueError, match=r"dropout=-0.1 is not a number in \[0, 1\)"):
        keras_effnets.ZFNet(weights=None, dropout=-0.1)
