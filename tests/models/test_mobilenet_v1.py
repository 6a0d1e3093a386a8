"""MobileNetV1 against the sheet, and on shrunken networks."""

from dataclasses import replace

import pytest
import structure

import keras_effnets
from keras_effnets.analysis.multiply_adds import multiply_adds
from keras_effnets.models import mobilenet_v1
from keras_effnets.models.builder import create
from keras_effnets.plan.deferred import count_parameters, outline, sketch

# Alpha by trainable parameters and millions of multiply-adds at each side.
SIDES = (224, 192, 160, 128)
SHEET = {
    1.0: (4_231_976, (569, 418, 291, 186)),
    0.75: (2_585_560, (325, 239, 166, 107)),
    0.5: (1_331_592, (149, 110, 77, 49)),
    0.25: (470_072, (41, 30, 21, 14)),
}


def build(**options):
    names = ("alpha", "shallow", "output_stride")
    changes = {name: options.pop(name) for name in names if name in options}
    config = replace(mobilenet_v1.VARIANTS[3], name="shrunken", **changes)
    options = {"classes": 10, "input_shape": (32, 32, 3), "weights": None, **options}
    return create(mobilenet_v1.build, config, options)


@pytest.mark.parametrize("alpha", SHEET)
def test_counts_are_the_sheets(alpha):
    parameters, megas = SHEET[alpha]
    name = "mobilenet_v1" if alpha == 1 else f"mobilenet_v1_{alpha:g}"
    found = keras_effnets.model_info(name)
    assert found.config.alpha == alpha
    assert count_parameters(outline(lambda: sized(alpha, 224))) == parameters
    for side, expected in zip(SIDES, megas, strict=True):
        count = multiply_adds(sketch(lambda side=side: sized(alpha, side)))
        # The sheet has whole millions.
        assert abs(count / 1e6 - expected) <= max(0.005 * expected, 0.51)


def sized(alpha, side):
    return keras_effnets.MobileNetV1(alpha=alpha, weights=None, input_shape=(side, side, 3))


def test_shallow_lacks_five_blocks():
    """The paper's Table 5: 307 million multiply-adds, 2.9 million parameters."""
    structure.assert_sheet("mobilenet_v1", 2_887_976, 307, shallow=True)
    blocks = list(mobilenet_v1.plan(replace(mobilenet_v1.VARIANTS[0], shallow=True)))
    assert [block.filters for block in blocks] == [64, 128, 128, 256, 256, 512, 1024, 1024]


def test_widths_are_cut_and_never_below_eight():
    widths = {
        block.filters for block in mobilenet_v1.plan(replace(mobilenet_v1.VARIANTS[0], alpha=0.07))
    }
    assert widths == {8, 17, 35, 71}


@pytest.mark.parametrize("shallow", [pytest.param(False, marks=pytest.mark.full), True])
def test_structure(shallow, tmp_path):
    structure.assert_shape(build(shallow=shallow))
    structure.assert_saves(build(shallow=shallow), tmp_path)
    structure.assert_trains(build(shallow=shallow))
    structure.assert_frozen_stays(build(shallow=shallow, classes=4))


@pytest.mark.parametrize("profile", ["torch", "tensorflow"])
def test_features(profile):
    structure.assert_feature_sides(lambda **options: build(profile=profile, **options), (8, 16, 32))
    structure.assert_open_sides(lambda **options: build(profile=profile, **options))


@pytest.mark.parametrize(("profile", "side"), [("torch", 3), ("tensorflow", 2)])
def test_a_stride_at_an_odd_side_rounds_as_its_heritage_does(profile, side):
    model = build(profile=profile, include_top=False, input_shape=(65, 65, 3))
    assert model.output_shape[1:3] == (side, side)
    assert model.get_layer("stem").output.shape[1:3] == (33, 33)


def test_alpha_decides_which_weights_are_meant():
    with pytest.raises(ValueError, match=r"published set of mobilenet_v1_0\.55: "):
        keras_effnets.MobileNetV1(alpha=0.55, weights="imagenet")
    with pytest.raises(ValueError, match="published set of mobilenet_v1_shallow: "):
        keras_effnets.MobileNetV1(shallow=True, weights="imagenet")
    assert keras_effnets.MobileNetV1(alpha=0.55).name == "mobilenet_v1_0.55"
    assert keras_effnets.MobileNetV1_050(weights=None).name == "mobilenet_v1_0.5"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha": 0}, r"alpha=0 is not a number in \(0, 1\]"),
        ({"alpha": 1.25}, r"alpha=1.25 is not a number in \(0, 1\]"),
        ({"alpha": "1"}, r"alpha='1' is not a number in \(0, 1\]"),
        ({"dropout": 1}, "dropout=1 is not a number"),
        ({"output_stride": 4}, "output_stride=4 is not one of"),
        ({"input_shape": (31, 32, 3)}, "height and width must be 32 or more"),
    ],
)
def test_bad_options_name_the_rule(options, message):
    with pytest.raises(ValueError, match=message):
        keras_effnets.MobileNetV1(**{"weights": None, **options})
