"""ResNet50V2 and its deeper kin against keras.applications' counts, and shrunken."""

from dataclasses import replace
from functools import partial

import keras
import pytest
import structure
from shrinking import narrow

import keras_effnets
from keras_effnets.analysis.multiply_adds import multiply_adds
from keras_effnets.models import preact_resnet
from keras_effnets.models.builder import create
from keras_effnets.plan.deferred import sketch
from keras_effnets.weights.catalog import WEIGHTS

# Trainable parameters without the biases, which are the sheet's, and with keras.applications'.
SHEET = {
    "resnet50_v2": (25_549_352, 25_568_360),
    "resnet101_v2": (44_541_480, 44_577_896),
    "resnet152_v2": (60_185_128, 60_236_904),
}
THEIRS = {
    "resnet50_v2": keras.applications.ResNet50V2,
    "resnet101_v2": keras.applications.ResNet101V2,
    "resnet152_v2": keras.applications.ResNet152V2,
}
SHRUNKEN = preact_resnet.PreActResNetConfig(name="shrunken", repeats=(2, 1, 1, 1))


def build(**options):
    config = replace(SHRUNKEN, profile=options.pop("profile", "tensorflow"))
    options = {"classes": 10, "input_shape": (33, 33, 3), "weights": None, **options}
    with narrow():
        return create(preact_resnet.build, config, options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_those_of_keras_applications(name):
    theirs = sketch(partial(THEIRS[name], weights=None))
    plain, biased = SHEET[name]
    assert sum(v.shape.num_elements() for v in theirs.trainable_variables) == biased
    structure.assert_sheet(name, biased, multiply_adds(theirs) / 1e6)
    structure.assert_sheet(name, plain, multiply_adds(theirs) / 1e6, profile="torch")


def test_structure(tmp_path):
    structure.assert_shape(build(profile="torch"))
    structure.assert_shape(build())
    structure.assert_saves(build(), tmp_path)
    structure.assert_trains(build())
    structure.assert_frozen_stays(build(classes=4))


def test_features():
    structure.assert_feature_sides(lambda output_stride, **options: build(**options), (32,))
    structure.assert_open_sides(build)


def test_a_stage_strides_in_its_last_block():
    strides = [block.strides for block in preact_resnet.plan(keras_effnets.ResNet50V2.config)]
    assert strides == [1, 1, 2, 1, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1]


def test_the_default_is_keras_applications_network():
    model = sketch(partial(keras_effnets.ResNet50V2, weights=None))
    preset = model.get_layer("preprocessing").preset
    assert (preset.crop, preset.mean, preset.std) == (224, (127.5,) * 3, (127.5,) * 3)
    assert model.get_layer("stem").conv.use_bias
    block = model.get_layer("stage1_block0")
    assert [block.conv1.conv.use_bias, block.conv2.conv.use_bias] == [False, False]
    assert [block.conv3.conv.use_bias, block.skip.conv.use_bias] == [True, True]
    assert block.epsilon == 1.001e-5


@pytest.mark.parametrize("name", SHEET)
def test_the_published_set_is_keras_applications(name):
    import keras.src.applications.resnet as theirs

    (info,) = WEIGHTS[name]
    short = name.replace("_", "")
    assert info.checksum == ("md5", theirs.WEIGHTS_HASHES[short][0])
    assert info.url == f"{theirs.BASE_WEIGHTS_PATH}{info.file}"
    assert info.file == f"{short}_weights_tf_dim_ordering_tf_kernels.h5"
    assert info.source == "keras"


def test_bad_options_name_the_rule():
    with pytest.raises(ValueError, match=r"dropout=1\.0 is not a number in \[0, 1\)"):
        keras_effnets.ResNet50V2(weights=None, dropout=1.0)
