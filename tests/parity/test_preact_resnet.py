"""ResNet50V2 against keras.applications, from files that Keras saved."""

import contextlib
from functools import partial

import compare
import keras
import numpy as np
import pytest
from keras.src.applications import resnet as theirs

from keras_effnets.models import ResNet50V2, preact_resnet
from keras_effnets.models.builder import create

living = pytest.importorskip("living", reason="its pictures come with torch: the test extra")

REPEATS = (2, 2, 3, 2)
"""Of a shrunken network: keras.applications has no stage of fewer than two blocks."""
TAPS = {
    "stem": "pool1_pool",
    **{f"stage{n}": f"conv{n + 1}_block{last}_out" for n, last in enumerate(REPEATS, start=1)},
    "top": "post_relu",
}
OPTIONS = {"weights": None, "classifier_activation": None}


def shrunken(side):
    """keras.applications' own network of fewer blocks."""

    def stack(x):
        for number, (width, repeats, strides) in enumerate(
            zip((64, 128, 256, 512), REPEATS, (2, 2, 2, 1), strict=True), start=2
        ):
            x = theirs.stack_residual_blocks_v2(
                x, width, repeats, stride1=strides, name=f"conv{number}"
            )
        return x

    return theirs.ResNet(stack, True, True, input_shape=(side, side, 3), **OPTIONS)


def scaled(pictures):
    return pictures / pictures.dtype.type(127.5) - 1


def enliven(model, pictures):
    """Random weights whose answers depend on what is shown, as `living.enliven` gives to torch's.

    A branch ends in a convolution here, so that is what is small.
    """
    rng = np.random.default_rng(0)
    norms = []
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            norms.append(layer)
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.uniform(-0.5, 0.5, layer.beta.shape))
        elif layer.weights:
            scale = 0.3 if layer.name.endswith("_3_conv") else 1.0
            fan_in = np.prod(layer.kernel.shape[:-1])
            layer.kernel.assign(rng.normal(0, scale * fan_in**-0.5, layer.kernel.shape))
            if layer.use_bias:
                layer.bias.assign(rng.uniform(-0.1, 0.1, layer.bias.shape))
    for norm in norms:
        norm.momentum = 0.0  # what moves becomes the statistics of this one batch
    model(scaled(pictures), training=True)
    for norm in norms:
        for statistic in (norm.moving_mean, norm.moving_variance):
            statistic.assign(statistic * rng.uniform(0.8, 1.2, statistic.shape))


def answers(model, pictures):
    """Logits, and the features of every part."""
    taps = [model.get_layer(name).output for name in TAPS.values()]
    tapped = keras.Model(model.input, [model.output, *taps])
    logits, *features = tapped(scaled(pictures), training=False)
    return np.asarray(logits), {name: np.asarray(x) for name, x in zip(TAPS, features, strict=True)}


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """By side: the file that Keras saved, pictures, and what the living network says of them."""
    folder = tmp_path_factory.mktemp("shrunken")
    found = {}
    for side, ending in ((64, ".keras"), (65, ".weights.h5")):
        model = shrunken(side)
        pictures = living.unlike_pictures(8, side, seed=0)
        enliven(model, pictures)
        path = folder / f"theirs{ending}"
        (model.save if ending == ".keras" else model.save_weights)(path)
        found[side] = path, pictures, model
    return found


def ours(path, side):
    config = preact_resnet.PreActResNetConfig(name="shrunken", repeats=REPEATS)
    options = {"weights": path, "classifier_activation": None, "input_shape": (side, side, 3)}
    return create(preact_resnet.build, config, options)


@contextlib.contextmanager
def float64():
    """What is built in this block computes in float64, its inputs included."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    try:
        yield
    finally:
        keras.config.set_floatx("float32")
        keras.config.set_dtype_policy("float32")


def doubled(model, side):
    """The same network in float64."""
    with float64():
        double = shrunken(side)
        double.set_weights(model.get_weights())
    return double


@pytest.mark.parametrize("side", [64, 65])
def test_logits_and_every_stage_agree(side, references):
    path, pictures, model = references[side]
    logits, features = answers(model, pictures)
    exact, _ = answers(doubled(model, side), pictures.astype("float64"))
    noise = compare.relative_error(logits, exact)
    assert living.spread(logits) >= 0.1
    assert noise <= 5e-5
    found = compare.errors(ours(path, side), pictures, logits, features)
    assert max(found.values()) <= max(compare.TOLERANCE, 4 * noise), found


def test_float64_agrees_to_eight_digits(references):
    path, pictures, model = references[65]
    expected = np.asarray(doubled(model, 65)(scaled(pictures.astype("float64")), training=False))
    with float64():
        found = np.asarray(ours(path, 65)(pictures.astype("float64"), training=False))
    assert compare.relative_error(found, expected) <= 1e-8


def _edited(edit):
    return lambda model: compare.configured(model, edit)


@_edited
def stride_in_the_first_block(config):
    if config["name"].startswith("stage"):
        stage, block = config["name"].removeprefix("stage").split("_block")
        if int(stage) < 4:
            config["strides"] = 2 if block == "0" else 1


@_edited
def stride_on_the_first_convolution(config):
    if "stride_on" in config:
        config["stride_on"] = "1x1"


@_edited
def relu_behind_the_stem(config):
    if config["name"] == "stem":
        config["activation"] = "relu"


@_edited
def pool_without_its_border(config):
    if config["name"] == "stem_pool":
        config.update(padding=0, ceil_mode=True)


@_edited
def block_padding(config):
    if config["name"].startswith("stage"):
        config["padding"] = "same"


def projection_of_the_bare_input(model):
    mutant = compare.renewed(model, ["stage2_block0"])
    mutant.get_layer("stage2_block0")._projects = False
    return mutant


def shortcut_of_the_activated_input(model):
    mutant = compare.renewed(model, ["stage3_block1"])
    mutant.get_layer("stage3_block1")._projects = True
    return mutant


MUTANTS = {
    "stride in the first block": stride_in_the_first_block,
    "stride on the first convolution": stride_on_the_first_convolution,
    "ReLU behind the stem": relu_behind_the_stem,
    "pool without its border": pool_without_its_border,
    "padding of blocks": block_padding,
    "projection of the bare input": projection_of_the_bare_input,
    "shortcut of the activated input": shortcut_of_the_activated_input,
    "padding of the stem": compare.stem_padding,
    "epsilon": compare.epsilon,
    "pixel scale": compare.pixel_scale,
}


@pytest.mark.full
def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(references):
    path, pictures, model = references[64]
    logits, _ = answers(model, pictures)
    model = ours(path, 64)
    for name, mutate in MUTANTS.items():
        wrong = compare.logits(mutate(model), pictures)
        error = compare.relative_error(wrong, logits)
        assert error > 10 * compare.TOLERANCE, f"{name} changes the logits by {error:.1e} only"


def test_resnet50_v2_agrees(tmp_path):
    """All of keras.applications' network, through its published kind of file."""
    side = 64
    model = keras.applications.ResNet50V2(input_shape=(side, side, 3), **OPTIONS)
    pictures = living.unlike_pictures(8, side, seed=0)
    enliven(model, pictures)
    expected = np.asarray(model(scaled(pictures), training=False))
    assert living.spread(expected) >= 0.1
    model.save_weights(tmp_path / "theirs.weights.h5")
    build = partial(ResNet50V2, classifier_activation=None, input_shape=(side, side, 3))
    found = build(weights=tmp_path / "theirs.weights.h5")(pictures, training=False)
    assert compare.relative_error(np.asarray(found), expected) <= compare.TOLERANCE
    unlike = build(weights=None)(pictures, training=False)
    assert compare.relative_error(np.asarray(unlike), expected) > 10 * compare.TOLERANCE
