"""MobileNetV3 against the sheet, and on shrunken networks."""

from dataclasses import replace

import pytest
import structure

import keras_effnets
from keras_effnets.models import mobilenet_v3
from keras_effnets.models.builder import create
from keras_effnets.models.mobilenet_v3 import V3Row

# Trainable parameters and millions of multiply-adds.
SHEET = {
    "mobilenet_v3_large": (5_483_032, 216.6),
    "mobilenet_v3_small": (2_542_856, 56.5),
}
MINIMALISTIC = {
    "mobilenet_v3_large": (3_924_288, 209.1),
    "mobilenet_v3_small": (2_044_736, 52.3),
}
THREE_QUARTERS = {
    ("mobilenet_v3_large", "torch"): (3_377_576, 140.0),
    ("mobilenet_v3_large", "tensorflow"): (3_993_528, 154.6),
    ("mobilenet_v3_small", "torch"): (1_653_920, 39.1),
    ("mobilenet_v3_small", "tensorflow"): (2_041_872, 43.4),
}
SHRUNKEN = mobilenet_v3.MobileNetV3Config(
    name="shrunken",
    table=(
        (V3Row(3, 16, 16, True, "relu", 2),),
        (V3Row(3, 24, 16, False, "relu", 2), V3Row(5, 40, 16, True, "hard_swish", 1)),
        (V3Row(5, 48, 24, True, "hard_swish", 2),),
        (V3Row(5, 96, 32, True, "hard_swish", 2), V3Row(5, 96, 32, False, "hard_swish", 1)),
    ),
    hidden=64,
)


def build(**options):
    names = ("alpha", "minimalistic", "drop_path", "output_stride")
    changes = {name: options.pop(name) for name in names if name in options}
    options = {"classes": 10, "input_shape": (64, 64, 3), "weights": None, **options}
    return create(mobilenet_v3.build, replace(SHRUNKEN, **changes), options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name):
    structure.assert_sheet(name, *SHEET[name])
    structure.assert_sheet(name, *SHEET[name], profile="tensorflow")
    structure.assert_sheet(name, *MINIMALISTIC[name], minimalistic=True)


@pytest.mark.parametrize(("name", "profile"), THREE_QUARTERS)
def test_each_heritage_has_its_own_widths(name, profile):
    structure.assert_sheet(name, *THREE_QUARTERS[name, profile], alpha=0.75, profile=profile)


def test_squeezes_are_a_quarter_of_the_expanded_width():
    found = {
        round(block.expansion * channels): block.squeeze_filters
        for config in mobilenet_v3.VARIANTS
        for block, channels in zip(mobilenet_v3.plan(config), inputs(config), strict=False)
        if block.squeeze_filters
    }
    widths = (16, 72, 96, 120, 144, 240, 288, 480, 576, 672, 960)
    assert found == dict(zip(widths, (8, 24, 24, 32, 40, 64, 72, 120, 144, 168, 240), strict=True))


def inputs(config):
    return [config.stem_filters, *(block.filters for block in mobilenet_v3.plan(config))]


@pytest.mark.parametrize(
    "changes",
    [{"drop_path": 0.2}, pytest.param({"minimalistic": True}, marks=pytest.mark.full)],
)
def test_structure(changes, tmp_path):
    structure.assert_shape(build(**changes))
    structure.assert_saves(build(**changes), tmp_path)
    structure.assert_trains(build(**changes))
    structure.assert_frozen_stays(build(**changes, classes=4))


@pytest.mark.parametrize("alpha", [0.35, 1.25])
def test_features(alpha):
    structure.assert_feature_sides(lambda **options: build(alpha=alpha, **options), (8, 16, 32))
    structure.assert_open_sides(lambda **options: build(alpha=alpha, **options))


def test_the_top_goes_as_a_whole():
    names = [layer.name for layer in build().layers]
    assert names[-4:] == ["top", "pool", "hidden", "classifier"]
    assert build(include_top=False).layers[-1].name == "top"
    assert build(include_top=False, pooling="max").output_shape == (None, 192)


def test_a_minimalistic_network_has_relu_and_small_kernels_only():
    model = build(minimalistic=True)
    convolutions = [layer for layer in model.layers if hasattr(layer, "activation")]
    assert {layer.activation for layer in convolutions} == {"relu", "softmax"}
    assert not any(hasattr(layer, "squeeze_excite") for layer in model.layers)
    assert {layer.kernel_size for layer in model.layers if layer.name.startswith("stage")} == {3}


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"alpha": 0.75}, "mobilenet_v3_small_0.75"),
        ({"minimalistic": True}, "mobilenet_v3_small_minimalistic"),
        ({"minimalistic": True, "alpha": 0.5}, "mobilenet_v3_small_minimalistic_0.5"),
    ],
)
def test_other_networks_claim_no_published_weights(options, name):
    with pytest.raises(ValueError, match=f"published set of {name}: "):
        keras_effnets.MobileNetV3Small(weights="imagenet", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0.3}, r"alpha=0.3 is not a number in \[0.35, 1.25\]"),
        ({"alpha": 1.5}, r"alpha=1.5 is not a number in \[0.35, 1.25\]"),
        ({"dropout": -0.1}, "dropout=-0.1 is not a number"),
        ({"drop_path": 1}, "drop_path=1 is not a number"),
        ({"output_stride": 4}, "output_stride=4 is not one of"),
    ],
)
def test_bad_options_name_the_rule(options, message):
    with pytest.raises(ValueError, match=message):
        keras_effnets.MobileNetV3Large(**{"weights": None, **options})
