"""DenseNet against the sheet, and on shrunken networks."""

from dataclasses import replace

import pytest
import structure

import keras_effnets
from keras_effnets.models import densenet, densenet_cifar
from keras_effnets.models.builder import create
from keras_effnets.plan.deferred import count_parameters, outline, sketch

# Trainable parameters and millions of multiply-adds.
SHEET = {
    "densenet121": (7_978_856, 2834),
    "densenet161": (28_681_000, 7728),
    "densenet169": (14_149_480, 3360),
    "densenet201": (20_013_928, 4291),
    "densenet264": (33_337_704, 5752),
}
CIFAR = {
    (40, 12, False): 1_019_722,
    (100, 12, False): 6_979_642,
    (100, 24, False): 27_249_082,
    (100, 12, True): 769_162,
    (250, 24, True): 15_324_406,
    (190, 40, True): 25_624_430,
}
SHRUNKEN = {
    "imagenet": densenet.DenseNetConfig(
        name="imagenet", repeats=(1, 2, 1, 2), growth_rate=8, memory_efficient=True
    ),
    "cifar": densenet_cifar.DenseNetCIFARConfig(
        name="cifar", repeats=(2, 2, 2), growth_rate=6, bottleneck=False, compression=1.0
    ),
}


def build(kind, **options):
    config = replace(SHRUNKEN[kind], dropout=options.pop("dropout", 0.0))
    side = 64 if kind == "imagenet" else 16
    options = {"classes": 10, "input_shape": (side, side, 3), "weights": None, **options}
    return create(densenet.build, config, options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name):
    structure.assert_sheet(name, *SHEET[name])


@pytest.mark.parametrize(("depth", "growth_rate", "bc"), CIFAR)
def test_counts_for_cifar(depth, growth_rate, bc):
    found = outline(
        lambda: keras_effnets.DenseNetCIFAR(
            depth=depth, growth_rate=growth_rate, bottleneck=bc, compression=0.5 if bc else 1.0
        )
    )
    assert count_parameters(found) == CIFAR[depth, growth_rate, bc]


def test_the_default_for_cifar_is_bc_100_12():
    model = sketch(keras_effnets.DenseNetCIFAR)
    assert model.name == "densenet_cifar"
    assert model.input_shape[1:] == (32, 32, 3)
    assert model.output_shape[1:] == (10,)
    assert [len(model.get_layer(f"stage{n}")._order) for n in (1, 2, 3)] == [16, 16, 16]


@pytest.mark.parametrize(
    ("bottleneck", "compression", "width"),
    [(True, 0.5, 24), (True, 1.0, 16), (False, 0.5, 16), (False, 1.0, 16)],
)
def test_the_stem_for_cifar_is_wider_in_bc_only(bottleneck, compression, width):
    options = {"depth": 22, "bottleneck": bottleneck, "compression": compression}
    shapes = outline(lambda: keras_effnets.DenseNetCIFAR(**options))
    assert shapes["stem/conv/kernel"] == (3, 3, 3, width)
    assert "stem/norm/gamma" not in shapes


@pytest.mark.parametrize("kind", [pytest.param("imagenet", marks=pytest.mark.full), "cifar"])
def test_structure(kind, tmp_path):
    structure.assert_shape(build(kind))
    structure.assert_saves(build(kind), tmp_path)
    structure.assert_trains(build(kind))
    structure.assert_frozen_stays(build(kind, classes=4, dropout=0.5))


@pytest.mark.parametrize(("kind", "side"), [("imagenet", 65), ("cifar", 17)])
def test_open_sides(kind, side):
    structure.assert_open_sides(lambda **options: build(kind, **options), side=side)


@pytest.mark.parametrize(("kind", "smallest"), [("imagenet", 29), ("cifar", 4)])
def test_the_smallest_picture(kind, smallest):
    structure.assert_shape(build(kind, input_shape=(smallest, smallest, 3)))
    with pytest.raises(ValueError, match=f"height and width must be {smallest} or more"):
        build(kind, input_shape=(smallest, smallest - 1, 3))


def test_features_end_with_the_last_activation():
    model = build("imagenet", include_top=False)
    assert model.layers[-1].name == "top"
    # 16 and 8 · 1, halved; 12 and 8 · 2, halved; 14 and 8 · 1, halved; 11 and 8 · 2.
    assert model.output_shape == (None, 2, 2, 27)


@pytest.mark.parametrize(
    ("options", "changed"),
    [({"dropout": 0.2, "memory_efficient": True}, False), ({"growth_rate": 24}, True)],
)
def test_only_other_shapes_make_it_another_network(options, changed):
    model = sketch(lambda: keras_effnets.DenseNet121(weights=None, **options))
    assert model.name == ("densenet121_custom" if changed else "densenet121")


@pytest.mark.parametrize(
    ("builder", "options", "message"),
    [
        ("DenseNet121", {"growth_rate": 0}, "growth_rate=0 is not an integer of 1 or more"),
        ("DenseNet121", {"growth_rate": 1.5}, "growth_rate=1.5 is not an integer of 1 or more"),
        ("DenseNet121", {"compression": 0}, r"compression=0 is not a number in \(0, 1\]"),
        ("DenseNet121", {"compression": 1.5}, r"compression=1.5 is not a number in \(0, 1\]"),
        ("DenseNet121", {"compression": 1e-4}, "compression=0.0001 leaves no channel"),
        ("DenseNet121", {"dropout": 1.0}, "dropout=1.0 is not a number in"),
        ("DenseNetCIFAR", {"depth": 41}, "depth=41 is not of the form 6n.*bottleneck=True"),
        ("DenseNetCIFAR", {"depth": 41, "bottleneck": False}, "depth=41 is not of the form 3n"),
        ("DenseNetCIFAR", {"depth": 4}, "depth=4 is not of the form 6n"),
        ("DenseNetCIFAR", {"depth": "100"}, "depth='100' is not of the form"),
    ],
)
def test_bad_options_name_the_rule(builder, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(keras_effnets, builder)(**{"weights": None, **options})
