"""The last map at each stride, of every family."""

from functools import partial

import keras
import numpy as np
import pytest
import structure

import keras_effnets
from keras_effnets.plan.deferred import sketch

# Levels that a whole network has, and which layer gives the map of each.
WHOLE = {
    "alexnet": {2: "conv1", 3: "conv2", 4: "conv5", 5: "pool5"},
    "zfnet": {1: "conv1", 2: "norm1", 3: "conv2", 4: "conv5", 5: "pool5"},
    "vgg16": {0: "conv1_2", 1: "conv2_2", 2: "conv3_3", 3: "conv4_3", 4: "conv5_3", 5: "pool5"},
    "nin": {2: "mlpconv1", 3: "mlpconv2", 4: "mlpconv3", 5: "mlpconv4"},
    "nin_cifar": {0: "mlpconv1", 1: "mlpconv2", 2: "mlpconv3"},
    "googlenet": {
        1: "conv1",
        2: "conv3",
        3: "inception3b",
        4: "inception4e",
        5: "inception5b",
    },
    "inception_v1": {
        1: "conv1",
        2: "norm2",
        3: "inception3b",
        4: "inception4e",
        5: "inception5b",
    },
    "squeezenet1_0": {1: "conv1", 2: "fire4", 3: "fire8", 4: "fire9"},
    "resnet18": {1: "stem", 2: "stage1_block1", 3: "stage2_block1", 4: "stage3_block1"}
    | {5: "stage4_block1"},
    "resnet50_v2": {1: "stem", 2: "stage1_block1", 3: "stage2_block2", 4: "stage3_block4"}
    | {5: "top"},
    "resnet20_cifar": {0: "stage1_block2", 1: "stage2_block2", 2: "stage3_block2"},
    "densenet121": {1: "stem", 2: "stage1", 3: "stage2", 4: "stage3", 5: "top"},
    "mobilenet_v1": {1: "stage1_block0", 2: "stage2_block1", 3: "stage3_block1"}
    | {4: "stage4_block5", 5: "stage5_block1"},
    "mobilenet_v2": {1: "stage1_block0", 2: "stage2_block1", 3: "stage3_block2"}
    | {4: "stage5_block2", 5: "top"},
    "mobilenet_v3_small": {1: "stem", 2: "stage1_block0", 3: "stage2_block1"}
    | {4: "stage4_block1", 5: "top"},
    "efficientnet_b0": {1: "stage1_block0", 2: "stage2_block1", 3: "stage3_block1"}
    | {4: "stage5_block2", 5: "top"},
    "efficientnet_lite0": {1: "stage1_block0", 2: "stage2_block1", 3: "stage3_block1"}
    | {4: "stage5_block2", 5: "top"},
    "efficientnet_v2_s": {1: "stage1_block1", 2: "stage2_block3", 3: "stage3_block3"}
    | {4: "stage5_block8", 5: "top"},
}


@pytest.mark.parametrize("name", WHOLE)
def test_each_level_is_the_last_map_of_its_stride(name):
    model = sketch(partial(keras_effnets.create_model, name, weights=None))
    found = keras_effnets.feature_extractor(model, tuple(WHOLE[name]))
    expected = {f"level{k}": model.get_layer(layer).output for k, layer in WHOLE[name].items()}
    assert list(found.output) == list(expected)
    assert all(found.output[key] is expected[key] for key in expected)
    for missing in {-1, *range(7)} - set(WHOLE[name]):
        known = ", ".join(map(str, WHOLE[name]))
        with pytest.raises(ValueError, match=f"{name} has levels {known}, not {missing}$"):
            keras_effnets.feature_extractor(model, (missing,))


def test_maps_of_every_family_at_open_sides(small, family):
    model = small(family, include_top=False, input_shape=(None, None, 3))
    levels = [level for level in (2, 3, 4, 5) if level in _levels(model)]
    extractor = keras_effnets.feature_extractor(model, levels)
    height, width = 97, 130
    x = np.random.default_rng(0).uniform(0, 255, (1, height, width, 3)).astype("float32")
    maps = extractor(x, training=False)
    assert list(maps) == [f"level{level}" for level in levels]
    for level in levels:
        _, *sides, channels = maps[f"level{level}"].shape
        for side, full in zip(sides, (height, width), strict=True):
            assert abs(side - full / 2**level) <= 3, (level, sides)
        assert channels > 1
    last = maps[f"level{levels[-1]}"]
    if family not in ("preact_cifar", "googlenet"):
        np.testing.assert_array_equal(last, model(x, training=False))


def _levels(model):
    with pytest.raises(ValueError, match="has levels") as caught:
        keras_effnets.feature_extractor(model, (99,))
    known = str(caught.value).split("has levels ")[1].split(", not")[0]
    return [int(level) for level in known.split(", ")]


@pytest.mark.parametrize("name", ["mobilenet_v2", "efficientnet_v2"])
def test_a_dilated_network_ends_earlier(small, name):
    model = small(name, output_stride=16, input_shape=(64, 64, 3))
    maps = keras_effnets.feature_extractor(model, (2, 3, 4)).output
    assert maps["level4"] is model.get_layer("top").output
    assert maps["level4"].shape[1:3] == (4, 4)
    with pytest.raises(ValueError, match="has levels 1, 2, 3, 4, not 5"):
        keras_effnets.feature_extractor(model)


def test_saved_and_loaded_it_gives_the_same_maps(small, tmp_path):
    model = small("efficientnet")
    extractor = keras_effnets.feature_extractor(model)
    assert extractor.get_layer("preprocessing").preset == model.get_layer("preprocessing").preset
    extractor.save(tmp_path / "features.keras")
    again = keras.saving.load_model(tmp_path / "features.keras")
    x = structure.pictures(model, batch=1)
    expected, found = extractor(x, training=False), again(x, training=False)
    assert list(expected) == ["level2", "level3", "level4", "level5"]
    for key, value in expected.items():
        np.testing.assert_array_equal(found[key], value)


@pytest.mark.parametrize("levels", [(), (2, 2)])
def test_bad_levels(small, levels):
    with pytest.raises(ValueError, match=r"levels=.* must be one or more different levels"):
        keras_effnets.feature_extractor(small("mobilenet_v1"), levels)
