"""EfficientNetV2 against the sheet, and on shrunken networks."""

from dataclasses import replace

import pytest
import structure

import keras_effnets
from keras_effnets.models import efficientnet_v2
from keras_effnets.models.builder import create
from keras_effnets.plan.config import Stage

# Trainable parameters, and millions of multiply-adds at the evaluation's side.
SHEET = {
    "efficientnet_v2_s": (384, 21_458_488, 8366),
    "efficientnet_v2_m": (480, 54_139_356, 24582),
    "efficientnet_v2_l": (480, 118_515_272, 56080),
}
SHRUNKEN = efficientnet_v2.EfficientNetV2Config(
    name="shrunken",
    side=64,
    dropout=0.2,
    stages=(
        Stage(expansion=1, kernel_size=3, strides=1, filters=8, repeats=2),
        Stage(expansion=4, kernel_size=3, strides=2, filters=8, repeats=1),
        Stage(expansion=4, kernel_size=3, strides=2, filters=16, repeats=2),
        Stage(expansion=4, kernel_size=3, strides=2, filters=16, repeats=1),
        Stage(expansion=6, kernel_size=3, strides=1, filters=24, repeats=1),
        Stage(expansion=6, kernel_size=3, strides=2, filters=24, repeats=2),
    ),
)


def build(**options):
    config = replace(SHRUNKEN, output_stride=options.pop("output_stride", 32))
    options = {"classes": 10, "input_shape": (64, 64, 3), "weights": None, **options}
    return create(efficientnet_v2.build, config, options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name):
    side, parameters, megas = SHEET[name]
    assert keras_effnets.model_info(name).config.side == side
    structure.assert_sheet(name, parameters, megas)


def test_structure(tmp_path):
    structure.assert_shape(build())
    structure.assert_saves(build(), tmp_path)
    structure.assert_trains(build())
    structure.assert_frozen_stays(build(classes=4))


def test_features():
    structure.assert_feature_sides(build, (8, 16, 32))
    structure.assert_open_sides(build)


def test_the_first_three_stages_are_fused():
    kinds = {}
    for layer in build().layers:
        if layer.name.startswith("stage"):
            kinds.setdefault(layer.name.partition("_")[0], set()).add(type(layer).__name__)
    fused = [{"FusedMBConv"}] * 3
    assert list(kinds.values()) == [*fused, {"MBConvSE"}, {"MBConvSE"}, {"MBConvSE"}]


def test_a_fused_block_that_does_not_expand_is_one_convolution():
    paths = {v.path for v in build().get_layer("stage1_block0").weights}
    assert {path.split("/")[1] for path in paths} == {"fused"}


def test_dropping_grows_over_all_blocks():
    blocks = list(efficientnet_v2.plan(SHRUNKEN))
    assert [block.drop_path for block in blocks] == pytest.approx([0.2 * n / 9 for n in range(9)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dropout": 1}, "dropout=1 is not a number"),
        ({"drop_path": -1}, "drop_path=-1 is not a number"),
        ({"output_stride": 64}, "output_stride=64 is not one of"),
        ({"input_shape": (384, 31, 3)}, "height and width must be 32 or more"),
    ],
)
def test_bad_options_name_the_rule(options, message):
    with pytest.raises(ValueError, match=message):
        keras_effnets.EfficientNetV2S(**{"weights": None, **options})
