"""ResNets for CIFAR and Stochastic Depth against the sheet, and shrunken."""

import keras
import numpy as np
import pytest
import structure

import keras_effnets
from keras_effnets.models import resnet_cifar as cifar_resnet
from keras_effnets.models.builder import create

# Trainable parameters with shortcut A and B, and millions of multiply-adds. The sheet rounds these
# to the million, which for the smallest is more than half a per cent: there are more digits here.
SHEET = {
    "resnet20_cifar": (269_722, 272_474, 40.6),
    "resnet32_cifar": (464_154, 466_906, 68.9),
    "resnet44_cifar": (658_586, 661_338, 97.2),
    "resnet56_cifar": (853_018, 855_770, 125.5),
    "resnet110_cifar": (1_727_962, 1_730_714, 252.9),
}
PROJECTIONS = 0.26
ROUNDED = {20: 41, 32: 69, 44: 97, 56: 125, 110: 253}
SHRUNKEN = {
    "a": cifar_resnet.ResNetCIFARConfig(name="a", depth=8),
    "b": cifar_resnet.ResNetCIFARConfig(name="b", depth=8, shortcut="B"),
    "plain": cifar_resnet.ResNetCIFARConfig(name="plain", depth=8, skip=False),
    "dropped": cifar_resnet.StochasticDepthConfig(name="dropped", depth=8),
}


def build(kind, **options):
    options = {"weights": None, "input_shape": (16, 16, 3), **options}
    return create(cifar_resnet.build, SHRUNKEN[kind], options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name):
    padded, projected, megas = SHEET[name]
    depth = int(name.removeprefix("resnet").removesuffix("_cifar"))
    assert abs(megas - ROUNDED[depth]) <= 0.5
    structure.assert_sheet(name, padded, megas)
    structure.assert_sheet(name, projected, megas + PROJECTIONS, shortcut="B")


def test_a_plain_network_and_stochastic_depth_have_the_same_weights():
    structure.assert_sheet("resnet56_cifar", 853_018, 125.5, skip=False)
    structure.assert_sheet("stochastic_depth_resnet110", 1_727_962, 252.9)


@pytest.mark.parametrize("kind", SHRUNKEN)
def test_structure(kind, tmp_path):
    keras.utils.set_random_seed(0)
    structure.assert_shape(build(kind))
    structure.assert_saves(build(kind), tmp_path)
    structure.assert_trains(build(kind))
    structure.assert_frozen_stays(build(kind, classes=4))


@pytest.mark.parametrize("kind", ["a", "dropped"])
def test_features(kind):
    model = build(kind, include_top=False, input_shape=(64, 64, 3))
    assert model.output_shape[1:] == (16, 16, 64)
    structure.assert_open_sides(lambda **options: build(kind, **options), side=33)


def test_a_plain_network_has_no_shortcuts():
    for kind, skips in (("a", 2), ("plain", 0)):
        blocks = [x for x in build(kind).layers if x.name.startswith("stage")]
        assert sum(block.skip is not None for block in blocks) == skips
    zeroed = build("plain")
    for block in (x for x in zeroed.layers if x.name.startswith("stage")):
        block.conv2.norm.gamma.assign(np.zeros_like(block.conv2.norm.gamma))
    scores = zeroed(structure.pictures(zeroed), training=False).numpy()
    assert (scores == scores[0]).all()


def test_option_a_takes_every_second_pixel_and_stochastic_depth_means():
    x = np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 16)).astype("float32")
    for kind, taken in (
        ("a", x[:, ::2, ::2]),
        ("dropped", x.reshape(2, 4, 2, 4, 2, 16).mean(axis=(2, 4))),
    ):
        found = build(kind).get_layer("stage2_block0").skip(x).numpy()
        np.testing.assert_allclose(found[..., :16], taken, rtol=1e-6)
        assert found.shape == (2, 4, 4, 32)
        assert not found[..., 16:].any()


def rates(**options):
    config = cifar_resnet.StochasticDepthConfig(name="x", depth=110, **options)
    return [block.drop_path for block in cifar_resnet.plan(config)]


def test_the_linear_schedule_is_the_papers():
    """p_l = 1 - l / L · (1 - p_L), l from 1 to L = 54: the first block may be dropped already."""
    survival = [1 - rate for rate in rates()]
    assert len(survival) == 54
    np.testing.assert_allclose(survival, [1 - n / 54 * 0.5 for n in range(1, 55)], rtol=1e-12)
    assert survival[0] == pytest.approx(0.990741, abs=1e-6)
    assert survival[-1] == 0.5
    assert sum(survival) == pytest.approx(40.25)  # blocks at a time, as many as 3/4 of them


def test_the_uniform_schedule():
    np.testing.assert_allclose(rates(survival=0.8, schedule="uniform"), [0.2] * 54, rtol=1e-12)


@pytest.mark.parametrize("schedule", ["linear", "uniform"])
def test_a_network_that_never_drops_is_an_ordinary_one(schedule):
    assert rates(survival=1, schedule=schedule) == [0.0] * 54


def dropped_blocks():
    """Each block, and something to show it.

    Their batch norms use fixed statistics in training too, and lift every sum above zero, so that
    the ReLU behind it hides nothing.
    """
    keras.utils.set_random_seed(3)
    model = build("dropped")
    rng = np.random.default_rng(0)
    for name in ("stage1_block0", "stage2_block0", "stage3_block0"):
        block = model.get_layer(name)
        block.conv1.norm.trainable = block.conv2.norm.trainable = False
        block.conv2.norm.beta.assign(np.full(block.filters, 20.0))
        x = rng.uniform(0, 1, (2, 4, 4, block.get_build_config()["input_shape"][-1]))
        yield block, x.astype("float32")


def test_the_mean_over_draws_is_the_output_at_inference():
    """Per block, before the activation: what training gives on average, and inference always."""
    draws = 400
    import tensorflow as tf

    for block, x in dropped_blocks():
        survival = 1 - block.drop_path
        assert 0 < survival < 1
        branch = block.conv2(block.conv1(x)).numpy()
        shortcut = x if block.skip is None else block.skip(x).numpy()
        assert (branch > 0).all()
        at_test = block(x, training=False).numpy()
        np.testing.assert_allclose(at_test, shortcut + survival * branch, rtol=1e-5)
        train = tf.function(lambda x, block=block: block(x, training=True))
        outputs = [train(x).numpy() for _ in range(draws)]
        kept = [not np.allclose(y, shortcut, rtol=1e-5) for y in outputs]
        for y, is_kept in zip(outputs, kept, strict=True):
            # For the whole mini-batch, and not scaled.
            np.testing.assert_allclose(y, shortcut + is_kept * branch, rtol=1e-5)
        deviation = np.sqrt(survival * (1 - survival) / draws)
        mean = np.mean(outputs, axis=0, dtype=np.float64)
        assert (np.abs(mean - at_test) <= 5 * deviation * branch).all()


@pytest.mark.parametrize(
    ("builder", "options", "message"),
    [
        ("ResNet20CIFAR", {"shortcut": "C"}, "shortcut='C' is not one of A, B"),
        ("ResNet20CIFAR", {"weights": "imagenet"}, "published set of resnet20_cifar"),
        ("StochasticDepthResNet110", {"survival": 0}, r"survival=0 is not a number in \(0, 1\]"),
        ("StochasticDepthResNet110", {"survival": 1.1}, r"survival=1\.1 is not a number"),
        ("StochasticDepthResNet110", {"survival": "no"}, "survival='no' is not a number"),
        ("StochasticDepthResNet110", {"schedule": "cosine"}, "schedule='cosine' is not one of"),
    ],
)
def test_bad_options_name_the_rule(builder, options, message):
    with pytest.raises(ValueError, match=message):
        getattr(keras_effnets, builder)(**{"weights": None, **options})


@pytest.mark.parametrize("depth", [2, 21, 20.0])
def test_the_depth_is_6n_plus_2(depth):
    with pytest.raises(ValueError, match=rf"depth={depth} is not of the form 6n\+2"):
        cifar_resnet.ResNetCIFARConfig(name="odd", depth=depth)


def test_knobs_that_change_the_weights_change_the_name():
    names = [
        keras_effnets.ResNet20CIFAR(weights=None, **options).name
        for options in ({}, {"shortcut": "B"}, {"skip": False})
    ]
    assert names == ["resnet20_cifar", "resnet20_cifar_b", "resnet20_cifar_plain"]
