"""Batch norms folded into convolutions: the same outputs, fewer operations."""

import keras
import numpy as np
import pytest
import structure
from small_networks import enliven, living

import keras_effnets
from keras_effnets.export.parity import probe_images
from keras_effnets.layers import nested_layers
from keras_effnets.models.surgery import fold_batch_norm

LOGITS = {"classifier_activation": None}


def norms(model):
    return [layer for layer in nested_layers(model) if is_norm(layer)]


def is_norm(layer):
    return isinstance(layer, keras.layers.BatchNormalization)


def assert_same(model, folded, x):
    expected = keras.ops.convert_to_numpy(model(x, training=False))
    found = keras.ops.convert_to_numpy(folded(x, training=False))
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    return expected


def test_every_family_answers_as_before(family):
    model = living(family, **LOGITS)
    before = [keras.ops.convert_to_numpy(weight.value) for weight in model.weights]
    folded = fold_batch_norm(model)
    outputs = assert_same(model, folded, probe_images(model.input_shape[1:]))
    assert np.ptp(outputs, axis=0).max() > 1e-3 * np.abs(outputs).max()
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight.value), value)
    assert not {id(weight) for weight in folded.weights} & {id(weight) for weight in model.weights}


def test_only_norms_before_convolutions_are_left(family):
    model = living(family)
    folded = fold_batch_norm(model)
    left = norms(folded)
    assert len(left) < len(norms(model)) or not norms(model)
    if family in ("preact_resnet", "preact_cifar", "densenet"):
        assert left
    else:
        assert not left
    convolutions = {
        id(layer.output) for layer in folded.layers if isinstance(layer, keras.layers.Conv2D)
    }
    # Behind a convolution a norm stays only where something else reads the convolution too.
    assert sum(id(norm.input) in convolutions for norm in left) <= 1


def test_preset_and_labels_stay():
    model = living("mobilenet_v2")
    model = keras_effnets.reset_classifier(model, 3, labels=["a", "b", "c"])
    folded = fold_batch_norm(model)
    assert folded.get_layer("preprocessing").preset == model.get_layer("preprocessing").preset
    assert folded.get_layer("classifier").labels == ("a", "b", "c")
    assert folded.name == model.name


def test_a_folded_model_is_saved_and_loaded(tmp_path):
    folded = fold_batch_norm(living("resnet"))
    folded.save(tmp_path / "folded.keras")
    again = keras.saving.load_model(tmp_path / "folded.keras")
    x = structure.pictures(folded)
    np.testing.assert_array_equal(again(x, training=False), folded(x, training=False))


def test_dropout_and_stochastic_depth_are_gone():
    folded = fold_batch_norm(living("cifar_resnet"))
    kinds = {type(layer).__name__ for layer in folded.layers}
    assert not kinds & {"Dropout", "StochasticDepth", "BatchNormalization"}


@pytest.mark.parametrize("name", ["MobileNetV2", "EfficientNetB0", "ResNet50V2"])
def test_networks_of_keras_applications_fold(name):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(64, 64, 3), classes=5, classifier_activation=None
    )
    enliven(model)
    folded = fold_batch_norm(model)
    assert_same(model, folded, structure.pictures(model, batch=2))
    assert len(norms(folded)) <= len(norms(model)) / 2


def layered(*layers, sides=(7, 7, 3)):
    model = keras.Sequential([keras.Input(sides), *layers])
    enliven(model)
    return model


NORM = keras.layers.BatchNormalization


@pytest.mark.parametrize(
    "layer",
    [
        lambda: keras.layers.Conv2D(5, 3, padding="same"),
        lambda: keras.layers.Conv2D(6, 3, strides=2, use_bias=False, groups=3),
        lambda: keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
        lambda: keras.layers.Dense(4),
    ],
)
def test_each_kind_of_layer_folds(layer):
    model = layered(layer(), NORM(), keras.layers.ReLU())
    folded = fold_batch_norm(model)
    assert not norms(folded)
    assert_same(model, folded, np.random.default_rng(1).normal(size=(2, 7, 7, 3)))


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}, {"epsilon": 0.1}])
def test_a_norm_may_lack_gamma_or_beta(options):
    model = layered(keras.layers.Conv2D(4, 3), NORM(**options))
    folded = fold_batch_norm(model)
    assert not norms(folded)
    assert_same(model, folded, np.random.default_rng(1).normal(size=(2, 7, 7, 3)))


def test_a_norm_before_a_padded_convolution_stays():
    model = layered(NORM(), keras.layers.Conv2D(4, 3, padding="same"))
    folded = fold_batch_norm(model)
    assert len(norms(folded)) == 1
    assert_same(model, folded, np.random.default_rng(1).normal(size=(2, 7, 7, 3)))


def test_a_norm_behind_an_activation_stays():
    folded = fold_batch_norm(layered(keras.layers.Conv2D(4, 3, activation="relu"), NORM()))
    assert len(norms(folded)) == 1


def test_a_norm_over_another_axis_stays():
    folded = fold_batch_norm(layered(keras.layers.Conv2D(4, 3), NORM(axis=1)))
    assert len(norms(folded)) == 1


def test_what_something_else_reads_is_not_folded():
    inputs = keras.Input((7, 7, 3))
    convolved = keras.layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, keras.layers.Add()([convolved, NORM()(convolved)]))
    enliven(model)
    folded = fold_batch_norm(model)
    assert len(norms(folded)) == 1
    assert_same(model, folded, np.random.default_rng(1).normal(size=(2, 7, 7, 3)))


def test_a_layer_called_twice_is_folded_twice():
    inputs = keras.Input((7, 7, 3))
    convolution, norm = keras.layers.Conv2D(3, 3, padding="same"), NORM()
    model = keras.Model(inputs, norm(convolution(norm(convolution(inputs)))))
    enliven(model)
    folded = fold_batch_norm(model)
    assert not norms(folded)
    assert_same(model, folded, np.random.default_rng(1).normal(size=(2, 7, 7, 3)))


def test_models_within_a_model_are_opened():
    inner = living("mobilenet_v2", include_top=False, pooling="avg")
    inputs = keras.Input(inner.input_shape[1:])
    model = keras.Model(inputs, keras.layers.Dense(3)(inner(inputs)))
    folded = fold_batch_norm(model)
    assert not norms(folded)
    assert_same(model, folded, structure.pictures(inner, batch=2))


def test_any_side_stays_any_side():
    model = living("mobilenet_v2", input_shape=(None, None, 3), **LOGITS)
    folded = fold_batch_norm(model)
    for side in (32, 45):
        assert_same(model, folded, structure.pictures(model, batch=2, side=side))


def test_a_model_without_a_graph_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match=r"is a Own: it must be a functional"):
        fold_batch_norm(Own(name="own"))
    with pytest.raises(ValueError, match="must be a functional or a built sequential"):
        fold_batch_norm(keras.Sequential([keras.layers.Dense(3)]))
