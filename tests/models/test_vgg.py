"""VGG against the sheet, and on shrunken networks."""

from dataclasses import replace

import pytest
import structure

import keras_effnets
from keras_effnets.models import vgg
from keras_effnets.models.builder import create
from keras_effnets.plan.deferred import outline

# Trainable parameters, and millions of multiply-adds.
SHEET = {
    "vgg11": (132_863_336, 7609),
    "vgg13": (133_047_848, 11308),
    "vgg16": (138_357_544, 15470),
    "vgg19": (143_667_240, 19632),
    "vgg11_bn": (132_868_840, 7609),
    "vgg13_bn": (133_053_736, 11308),
    "vgg16_bn": (138_365_992, 15470),
    "vgg19_bn": (143_678_248, 19632),
}
SMALL = vgg.VGGConfig(name="small", repeats=(1, 1, 2, 1, 1), filters=(8, 12, 16, 24, 32), hidden=32)
SHRUNKEN = {"plain": SMALL, "batch_norm": replace(SMALL, batch_norm=True)}


def build(kind, **options):
    options = {"classes": 10, "input_shape": (64, 64, 3), "weights": None, **options}
    return create(vgg.build, SHRUNKEN[kind], options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name):
    structure.assert_sheet(name, *SHEET[name])


@pytest.mark.parametrize("kind", SHRUNKEN)
def test_structure(kind, tmp_path):
    structure.assert_shape(build(kind))
    structure.assert_saves(build(kind), tmp_path)
    structure.assert_trains(build(kind))
    structure.assert_frozen_stays(build(kind, classes=4))
    structure.assert_open_sides(lambda **options: build(kind, **options))


def test_the_smallest_picture():
    assert build("plain", input_shape=(32, 32, 3)).get_layer("pool5").output.shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match="height and width must be 32 or more"):
        build("plain", input_shape=(31, 32, 3))


def test_the_papers_names():
    names = [layer.name for layer in vgg.plan(vgg.VARIANTS[2])]
    assert names[:3] == ["conv1_1", "conv1_2", "conv2_1"]
    assert names[-3:] == ["conv5_1", "conv5_2", "conv5_3"]


def test_batch_norm_keeps_the_biases():
    paths = outline(lambda: build("batch_norm"))
    assert {"conv1_1/conv/bias", "conv1_1/norm/beta"} <= set(paths)


def test_the_tensorflow_profile_subtracts_caffes_means():
    preset = build("plain", profile="tensorflow").get_layer("preprocessing").preset
    assert preset.mean == (123.68, 116.779, 103.939)
    assert preset.std == (1.0, 1.0, 1.0)


def test_bad_options_name_the_rule():
    with pytest.raises(ValueError, match=r"dropout='half' is not a number in \[0, 1\)"):
        keras_effnets.VGG16(weights=None, dropout="half")
