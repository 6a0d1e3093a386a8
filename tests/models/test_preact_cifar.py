"""Pre-activation networks and Wide ResNets for CIFAR against the sheet, and shrunken."""

from functools import partial

import pytest
import structure

import keras_effnets
from keras_effnets.analysis.multiply_adds import multiply_adds
from keras_effnets.models import preact_cifar
from keras_effnets.models.builder import create
from keras_effnets.plan.deferred import sketch

# Trainable parameters, and millions of multiply-adds.
SHEET = {
    "preact_resnet164_cifar": (1_703_258, 245),
    "wide_resnet_cifar": (36_479_194, 5243),
}
WIDE = {  # by depth and width; no multiply-adds in the sheet for those of its Table 4
    (16, 4): (2_748_890, 393),
    (16, 8): (10_961_370, 1548),
    (40, 4): (8_949_210, 1299),
    (22, 8): (17_158_106, None),
    (16, 10): (17_116_634, None),
    (22, 10): (26_797_914, None),
    (28, 12): (52_517_850, None),
    (40, 8): (35_748_314, None),
    (40, 1): (563_930, 83),
    (40, 2): (2_243_546, 328),
    (28, 2): (1_467_610, 214),
    (40, 10): (55_841_754, 8075),
}
SHRUNKEN = {
    "bottlenecks": preact_cifar.PreActCIFARConfig(name="bottlenecks", depth=11),
    "wide": preact_cifar.WideResNetCIFARConfig(name="wide", depth=10, widen=2, dropout=0.3),
    "narrow": preact_cifar.WideResNetCIFARConfig(name="narrow", depth=10, widen=1),
}


def build(kind, **options):
    options = {"weights": None, "input_shape": (16, 16, 3), **options}
    return create(preact_cifar.build, SHRUNKEN[kind], options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name):
    structure.assert_sheet(name, *SHEET[name])


@pytest.mark.full
def test_counts_of_1001_layers():
    structure.assert_sheet("preact_resnet1001_cifar", 10_327_706, 1488)


def test_counts_of_1001_layers_follow_from_those_of_few():
    """Each block more a stage adds the same; building all 333 takes long."""
    counts = []
    for depth in (11, 20):
        config = preact_cifar.PreActCIFARConfig(name="shrunken", depth=depth)
        model = sketch(partial(create, preact_cifar.build, config, {"weights": None}))
        counts.append(
            (sum(v.shape.num_elements() for v in model.trainable_variables), multiply_adds(model))
        )
    assert keras_effnets.PreActResNet1001CIFAR.config.repeats == 111
    parameters, total = (one + 110 * (two - one) for one, two in zip(*counts, strict=True))
    assert parameters == 10_327_706
    assert abs(total / 1e6 - 1488) <= 0.005 * 1488


@pytest.mark.parametrize(("depth", "widen"), WIDE)
def test_counts_of_other_widths(depth, widen):
    parameters, megas = WIDE[depth, widen]
    build = keras_effnets.WideResNetCIFAR
    model = sketch(partial(build, weights=None, depth=depth, widen=widen))
    assert sum(v.shape.num_elements() for v in model.trainable_variables) == parameters
    if megas is not None:
        found = multiply_adds(model) / 1e6
        assert abs(found - megas) <= 0.005 * megas


def test_a_hundred_classes():
    structure.assert_sheet("wide_resnet_cifar", 36_536_884, 5243, classes=100)


@pytest.mark.parametrize("kind", SHRUNKEN)
def test_structure(kind, tmp_path):
    structure.assert_shape(build(kind))
    structure.assert_saves(build(kind), tmp_path)
    structure.assert_trains(build(kind))
    structure.assert_frozen_stays(build(kind, classes=4))


@pytest.mark.parametrize("kind", ["bottlenecks", "wide"])
def test_features(kind):
    model = build(kind, include_top=False, input_shape=(64, 64, 3))
    assert model.output_shape[1:3] == (16, 16)
    structure.assert_open_sides(lambda **options: build(kind, **options), side=33)


def test_dropout_is_between_the_convolutions_and_draws_while_training():
    model = build("wide")
    block = model.get_layer("stage1_block0")
    assert list(block._order) == ["preact", "conv1", "dropout", "conv2"]
    x = structure.pictures(model)[..., :1].repeat(16, -1)
    block.conv1.norm.trainable = block.preact.norm.trainable = False
    assert not (block(x, training=True).numpy() == block(x, training=False).numpy()).all()


def test_what_a_builder_takes_for_granted():
    config = keras_effnets.WideResNetCIFAR.config
    assert (config.depth, config.widen, config.classes, config.side) == (28, 10, 10, 32)
    preset = config.input_preset
    assert (preset.crop, preset.resize, preset.mean) == (32, 32, (125.3, 123.0, 113.9))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 27}, r"depth=27 is not of the form 6n\+4 with n of 1 or more"),
        ({"depth": 4}, r"depth=4 is not of the form 6n\+4"),
        ({"depth": 28.0}, r"depth=28\.0 is not of the form 6n\+4"),
        ({"widen": 0}, "widen=0 is not an integer of 1 or more"),
        ({"widen": 1.5}, r"widen=1\.5 is not an integer of 1 or more"),
        ({"dropout": 1.0}, r"dropout=1\.0 is not a number in \[0, 1\)"),
        ({"weights": "imagenet"}, "published set of wide_resnet_cifar"),
    ],
)
def test_bad_options_name_the_rule(options, message):
    with pytest.raises(ValueError, match=message):
        keras_effnets.WideResNetCIFAR(**{"weights": None, **options})


def test_a_bottleneck_networks_depth_is_9n_plus_2():
    with pytest.raises(ValueError, match=r"depth=165 is not of the form 9n\+2"):
        preact_cifar.PreActCIFARConfig(name="odd", depth=165)
