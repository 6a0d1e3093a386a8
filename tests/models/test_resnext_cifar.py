"""ResNeXt-29 for CIFAR against the sheet, and shrunken."""

import pytest
import structure
from shrinking import narrow

import keras_effnets
from keras_effnets.models import resnext_cifar
from keras_effnets.models.builder import create

SHRUNKEN = resnext_cifar.ResNeXtCIFARConfig(name="shrunken", depth=11, cardinality=4, base_width=4)


def build(**options):
    options = {"weights": None, "input_shape": (8, 8, 3), **options}
    with narrow():
        return create(resnext_cifar.build, SHRUNKEN, options)


@pytest.mark.parametrize(
    ("cardinality", "parameters", "megas"), [(8, 34_426_698, 5387), (16, 68_155_210, 10689)]
)
def test_counts_are_the_sheets(cardinality, parameters, megas):
    structure.assert_sheet("resnext29_cifar", parameters, megas, cardinality=cardinality)


def test_structure(tmp_path):
    structure.assert_shape(build())
    structure.assert_saves(build(), tmp_path)
    structure.assert_trains(build())
    structure.assert_frozen_stays(build(classes=4))


def test_features():
    model = build(include_top=False, input_shape=(64, 64, 3))
    assert model.output_shape[1:] == (16, 16, 128)
    structure.assert_open_sides(build, side=33)


def test_every_stage_doubles_the_inner_width():
    blocks = {block.stage: block for block in resnext_cifar.plan(SHRUNKEN)}
    assert [SHRUNKEN.width(block) for block in blocks.values()] == [16, 32, 64]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cardinality": 0}, "cardinality=0 is not an integer of 1 or more"),
        ({"cardinality": 8.0}, r"cardinality=8\.0 is not an integer of 1 or more"),
        ({"base_width": -1}, "base_width=-1 is not an integer of 1 or more"),
        ({"weights": "imagenet"}, "published set of resnext29_cifar"),
    ],
)
def test_bad_options_name_the_rule(options, message):
    with pytest.raises(ValueError, match=message):
        keras_effnets.ResNeXt29CIFAR(**{"weights": None, **options})


def test_the_depth_is_9n_plus_2():
    with pytest.raises(ValueError, match=r"depth=28 is not of the form 9n\+2"):
        resnext_cifar.ResNeXtCIFARConfig(name="odd", depth=28, cardinality=8, base_width=64)
