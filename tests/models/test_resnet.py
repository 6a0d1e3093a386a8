"""ResNet, Wide ResNet, ResNeXt and SENet against the sheet, and on shrunken networks."""

from dataclasses import replace
from functools import partial

import pytest
import structure
from shrinking import narrow

import keras_effnets
from keras_effnets.models import resnet, resnext, senet
from keras_effnets.models.builder import create
from keras_effnets.plan.deferred import count_parameters, outline

# Trainable parameters, and millions of multiply-adds with the stride on the 3×3.
SHEET = {
    "resnet18": (11_689_512, 1814),
    "resnet34": (21_797_672, 3664),
    "resnet50": (25_557_032, 4089),
    "resnet101": (44_549_160, 7801),
    "resnet152": (60_192_808, 11514),
    "wide_resnet50_2": (68_883_240, 11398),
    "wide_resnet101_2": (126_886_696, 22753),
    "resnext50_32x4d": (25_028_904, 4230),
    "resnext101_32x8d": (88_791_336, 16414),
    "resnext101_64x4d": (83_455_272, 15460),
    "se_resnet50": (28_088_024, 4092),
    "se_resnet101": (49_326_872, 7806),
    "se_resnet152": (66_821_848, 11520),
    "se_resnext50_32x4d": (27_559_896, 4233),
    "se_resnext101_32x4d": (48_955_416, 7975),
}
V1 = {
    "resnet50": (25_557_032, 3858),
    "resnet101": (44_549_160, 7570),
    "resnet152": (60_192_808, 11282),
    "se_resnet50": (28_088_024, 3861),
    "se_resnet101": (49_326_872, 7575),
    "se_resnet152": (66_821_848, 11289),
}
ONE_EACH = (1, 1, 1, 1)
SHRUNKEN = {
    "basic": resnet.ResNetConfig(name="basic", repeats=ONE_EACH, expansion=1),
    "bottleneck": resnet.ResNetConfig(name="bottleneck", repeats=(1, 2, 1, 1)),
    "groups": resnext.ResNeXtConfig(name="groups", repeats=ONE_EACH, groups=8, base_width=32),
    "gates": senet.SENetConfig(name="gates", repeats=ONE_EACH, drop_path=0.2),
    "plain": resnet.ResNetConfig(name="plain", repeats=ONE_EACH, expansion=1, skip=False),
}


def build(kind, **options):
    config = replace(SHRUNKEN[kind], output_stride=options.pop("output_stride", 32))
    options = {"classes": 10, "input_shape": (64, 64, 3), "weights": None, **options}
    with narrow():
        return create(resnet.build, config, options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name):
    structure.assert_sheet(name, *SHEET[name])


@pytest.mark.parametrize("name", V1)
def test_counts_with_the_papers_stride(name):
    structure.assert_sheet(name, *V1[name], stride="v1")


def test_keras_applications_has_biases():
    structure.assert_sheet("resnet50", 25_583_592, 3858, profile="tensorflow")


@pytest.mark.parametrize(
    ("cardinality", "base_width"), [(1, 64), (2, 40), (4, 24), (8, 14), (32, 4)]
)
def test_templates_of_equal_cost(cardinality, base_width):
    build = partial(
        keras_effnets.ResNeXt50_32x4d, weights=None, cardinality=cardinality, base_width=base_width
    )
    assert 25.0 <= round(count_parameters(outline(build)) / 1e6, 1) <= 25.6


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in ("bottleneck", "gates") else pytest.param(kind, marks=pytest.mark.full)
        for kind in SHRUNKEN
    ],
)
def test_structure(kind, tmp_path):
    structure.assert_shape(build(kind))
    structure.assert_saves(build(kind), tmp_path)
    structure.assert_trains(build(kind))
    structure.assert_frozen_stays(build(kind, classes=4))


@pytest.mark.parametrize("kind", ["basic", "bottleneck", "groups"])
def test_features(kind):
    structure.assert_feature_sides(lambda **options: build(kind, **options), (8, 16, 32))
    structure.assert_open_sides(lambda **options: build(kind, **options))


def test_zero_init_starts_every_block_as_its_shortcut():
    model = keras_effnets.ResNet18(weights=None, zero_init_residual=True)
    for block in (layer for layer in model.layers if layer.name.startswith("stage")):
        assert not block.conv2.norm.gamma.numpy().any()
        assert block.conv1.norm.gamma.numpy().all()


def test_a_plain_network_has_no_shortcuts():
    names = {path.split("/")[1] for path in outline(lambda: build("plain"))}
    assert "skip" not in names


@pytest.mark.parametrize(
    ("builder", "options", "message"),
    [
        ("ResNet50", {"stride": "v2"}, "stride='v2' is not one of v1, v1.5"),
        ("ResNeXt50_32x4d", {"cardinality": 0}, "groups=0 is not an integer of 1 or more"),
        ("ResNeXt50_32x4d", {"base_width": 0}, "base_width=0 is not an integer of 1 or more"),
        ("ResNet18", {"cardinality": 2}, "has basic blocks"),
        ("SEResNet50", {"reduction": 0}, "reduction=0 is not in 1 to 256"),
        ("SEResNet50", {"reduction": 257}, "reduction=257 is not in 1 to 256"),
        ("ResNet50", {"output_stride": 4}, "output_stride=4 is not one of"),
        ("ResNet50", {"skip": False, "weights": "imagenet"}, "published set of resnet50_custom"),
    ],
)
def test_bad_options_name_the_rule(builder, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(keras_effnets, builder)(**{"weights": None, **options})
