"""A frozen block does not change in `fit`, whenever it was frozen."""

import keras
import numpy as np
import pytest

from keras_effnets.layers import (
    Classifier,
    ConvNormAct,
    DepthwiseConvNormAct,
    InvertedResidual,
    MBConvSE,
    nested_layers,
)

BLOCKS = {
    "conv": lambda **options: ConvNormAct(4, **options),
    "depthwise": DepthwiseConvNormAct,
    "mbconv": lambda **options: MBConvSE(3, drop_path=0.5, **options),
}


def model_of(block):
    inputs = keras.Input((6, 6, 3))
    features = keras.layers.GlobalAveragePooling2D()(block(inputs))
    return keras.Model(inputs, keras.layers.Dense(2, name="dense")(features))


def fit(model):
    model.compile("sgd", "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(3, 2, (8, 6, 6, 3)).astype("float32")
    model.fit(x, np.ones((8, 2)), batch_size=4, epochs=1, verbose=0)


def values(layer):
    return {v.path: v.numpy().copy() for v in layer.weights}


def moved(before, after):
    return {path for path in before if not np.array_equal(before[path], after[path])}


def frozen_before(kind, path):
    return model_of(BLOCKS[kind](trainable=False, name="block"))


def frozen_after(kind, path):
    model = model_of(BLOCKS[kind](name="block"))
    model.get_layer("block").trainable = False
    return model


def reloaded(kind, path):
    frozen_after(kind, path).save(path / "frozen.keras")
    return keras.saving.load_model(path / "frozen.keras")


def whole_body_frozen(kind, path):
    inputs = keras.Input((6, 6, 3))
    body = keras.Model(inputs, BLOCKS[kind](name="inner")(inputs), name="block")
    body.trainable = False
    return model_of(body)


FREEZINGS = (frozen_before, frozen_after, reloaded, whole_body_frozen)


@pytest.mark.parametrize("kind", BLOCKS)
@pytest.mark.parametrize("freeze", FREEZINGS)
def test_fit_leaves_a_frozen_block_alone(kind, freeze, tmp_path):
    model = freeze(kind, tmp_path)
    block = model.get_layer("block")
    assert block.trainable_weights == []
    before, head = values(block), values(model.get_layer("dense"))
    fit(model)
    assert moved(before, values(block)) == set()
    assert moved(head, values(model.get_layer("dense"))) == set(head)


@pytest.mark.parametrize("kind", BLOCKS)
def test_fit_moves_everything_in_a_block_that_is_not_frozen(kind):
    model = model_of(BLOCKS[kind](name="block"))
    block = model.get_layer("block")
    before = values(block)
    fit(model)
    # A gate's bias may get no gradient where its ReLU is dead; statistics always move.
    statistics = {path for path in before if "/moving_" in path}
    assert statistics
    assert moved(before, values(block)) >= statistics


@pytest.mark.parametrize("freeze", FREEZINGS)
def test_unfrozen_block_trains_again(freeze, tmp_path):
    model = freeze("conv", tmp_path)
    block = model.get_layer("block")
    block.trainable = True
    assert len(block.trainable_weights) == 3
    before = values(block)
    fit(model)
    assert moved(before, values(block)) == set(before)


@pytest.mark.parametrize("when", ["before", "after"])
def test_frozen_classifier_drops_nothing(when):
    layer = Classifier(3, dropout_rate=0.5, activation=None, trainable=when == "after")
    x = np.ones((16, 8), "float32")
    layer(x)
    layer.trainable = False
    np.testing.assert_array_equal(layer(x, training=True), layer(x))


def test_classifier_drops_while_training():
    layer, x = Classifier(3, dropout_rate=0.5, activation=None), np.ones((16, 8), "float32")
    assert not np.allclose(layer(x, training=True), layer(x))
    np.testing.assert_array_equal(layer(x), layer(x))


def test_a_norm_frozen_inside_a_training_block_stays_frozen_when_reloaded(tmp_path):
    inputs = keras.Input((8, 8, 4))
    model = keras.Model(inputs, InvertedResidual(4, name="block")(inputs))
    for layer in nested_layers(model):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    names = [weight.path for weight in model.trainable_weights]
    assert len(names) == 3  # the three kernels
    model.save(tmp_path / "half_frozen.keras")
    again = keras.saving.load_model(tmp_path / "half_frozen.keras")
    assert [weight.path for weight in again.trainable_weights] == names
