"""SqueezeNet against the sheet, and on shrunken networks."""

from functools import partial

import pytest
import structure

import keras_effnets
from keras_effnets.models import squeezenet
from keras_effnets.plan.deferred import count_parameters, outline

SMALL = {"base_e": 16, "incr_e": 8, "squeeze_ratio": 0.25}


def build(**options):
    options = {"classes": 10, "input_shape": (33, 33, 3), "weights": None, **options}
    return keras_effnets.SqueezeNet(**{**SMALL, **options})


def parameters(builder, **options):
    return count_parameters(outline(partial(builder, weights=None, **options)))


@pytest.mark.parametrize(
    ("name", "bypass", "sheet"),
    [
        ("squeezenet1_0", "none", (1_248_424, 819)),
        ("squeezenet1_1", "none", (1_235_496, 349)),
        ("squeezenet1_0", "simple", (1_248_424, 819)),
        ("squeezenet1_0", "complex", (1_589_672, 1165)),
        ("squeezenet1_1", "complex", (1_572_648, 448)),
    ],
)
def test_counts_are_the_sheets(name, bypass, sheet):
    structure.assert_sheet(name, *sheet, bypass=bypass)


def test_the_general_network_is_version_1_0():
    assert parameters(keras_effnets.SqueezeNet) == 1_248_424
    assert parameters(keras_effnets.SqueezeNet, bypass="complex") == 1_589_672


@pytest.mark.parametrize(
    ("squeeze_ratio", "megabytes"),
    [(0.125, 5.0), (0.25, 7.9), (0.5, 13.6), (0.75, 19.4), (1, 25.1)],
)
def test_sizes_of_the_papers_sweep(squeeze_ratio, megabytes):
    found = parameters(keras_effnets.SqueezeNet, squeeze_ratio=squeeze_ratio)
    assert round(4 * found / 1e6, 1) == megabytes


def test_widths_of_the_papers_table():
    fires = list(squeezenet.plan(squeezenet.VARIANTS[0]))
    assert [fire.name for fire in fires] == [f"fire{n}" for n in range(2, 10)]
    found = [(fire.squeeze, fire.expand1x1, fire.expand3x3) for fire in fires]
    assert found[::2] == [(16, 64, 64), (32, 128, 128), (48, 192, 192), (64, 256, 256)]
    assert found[1::2] == found[::2]


def test_bypasses_go_around_every_second_module():
    config = squeezenet.SqueezeNetConfig(name="small", bypass="complex")
    assert [fire.bypass for fire in squeezenet.plan(config)] == ["complex", "simple"] * 4


@pytest.mark.parametrize(
    ("name", "sides"), [("squeezenet1_0", [109, 54, 27, 13]), ("squeezenet1_1", [111, 55, 27, 13])]
)
def test_sides_of_the_papers_table(name, sides):
    sketch = structure.sketch(lambda: keras_effnets.create_model(name, weights=None))
    pools = [layer for layer in sketch.layers if layer.name.startswith("pool")]
    found = [sketch.get_layer("conv1").output.shape[1], *(x.output.shape[1] for x in pools)]
    assert found == sides


@pytest.mark.parametrize("bypass", squeezenet.BYPASSES)
def test_structure(bypass, tmp_path):
    structure.assert_shape(build(bypass=bypass))
    structure.assert_saves(build(bypass=bypass), tmp_path)
    if bypass != "simple":  # which has no weights of its own
        structure.assert_trains(build(bypass=bypass))
    structure.assert_frozen_stays(build(bypass=bypass, classes=4))


def test_open_sides():
    structure.assert_open_sides(build, side=97)
    model = build(input_shape=(None, None, 3))
    assert model.output_shape == (None, 10)
    assert model(structure.pictures(model, side=65)).shape == (4, 10)


@pytest.mark.parametrize(("name", "side"), [("SqueezeNet1_0", 21), ("SqueezeNet1_1", 17)])
def test_the_smallest_picture(name, side):
    smallest = partial(getattr(keras_effnets, name), weights=None)
    sketch = structure.sketch(partial(smallest, input_shape=(side, side, 3)))
    assert sketch.get_layer("fire9").output.shape[1:3] == (1, 1)
    with pytest.raises(ValueError, match=f"height and width must be {side} or more"):
        smallest(input_shape=(side - 1, side, 3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_e": 0}, "base_e=0 is not an integer of 1 or more"),
        ({"incr_e": -1}, "incr_e=-1 is not an integer of 0 or more"),
        ({"freq": 0}, "freq=0 is not an integer of 1 or more"),
        ({"pct3x3": 1.5}, r"pct3x3=1.5 is not a number in \[0.01, 0.99\]"),
        ({"pct3x3": 0}, r"pct3x3=0 is not a number in \[0.01, 0.99\]"),
        ({"squeeze_ratio": 0}, r"squeeze_ratio=0 is not a number in \(0, 1\]"),
        ({"squeeze_ratio": 1.25}, r"squeeze_ratio=1.25 is not a number in \(0, 1\]"),
        ({"base_e": 1}, "leave fire2 0 squeezed channels, 1 of 1x1 and 0 of 3x3"),
        ({"bypass": "half"}, "bypass='half' is not one of none, simple, complex"),
        ({"dropout": 1.0}, "dropout=1.0 is not a number in"),
    ],
)
def test_bad_options_name_the_rule(options, message):
    with pytest.raises(ValueError, match=message):
        keras_effnets.SqueezeNet(weights=None, **options)


def test_no_published_weights_are_claimed_for_a_bypass():
    with pytest.raises(ValueError, match="published set of squeezenet1_0_simple_bypass"):
        keras_effnets.SqueezeNet1_0(bypass="simple", weights="imagenet")
