"""A new classifier on the same body, and the body alone."""

import fresh_processes
import keras
import numpy as np
import pytest
import structure

import keras_effnets
from keras_effnets.layers import Classifier, ConvClassifier
from keras_effnets.plan.deferred import count_parameters, sketch, variables_by_path

LABELS = ("pizza", "steak", "sushi")
CONVOLVING = ("nin", "nin_cifar", "squeezenet")


def test_new_classifier_on_the_same_body(small, family):
    model = small(family)
    new = keras_effnets.reset_classifier(model, 3, labels=list(LABELS))
    assert new.name == model.name
    assert new.output_shape == (None, 3)
    assert [layer.name for layer in new.layers] == [layer.name for layer in model.layers]
    assert new.layers[:-1] == model.layers[:-1]
    head, old = new.layers[-1], model.layers[-1]
    assert head is not old
    assert type(head) is (ConvClassifier if family in CONVOLVING else Classifier)
    assert head.labels == LABELS
    assert head.dropout_rate == old.dropout_rate
    x = structure.pictures(model, batch=2)
    features = keras_effnets.body(model)(x, training=False)
    np.testing.assert_array_equal(head(features), new(x, training=False))
    np.testing.assert_array_equal(old(features), model(x, training=False))
    scores = np.asarray(new(x, training=False))
    np.testing.assert_allclose(scores.sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("pooling", ["avg", "max", None])
@pytest.mark.parametrize("name", ["efficientnet", "squeezenet", "vgg"])
def test_a_network_without_classifier_gets_one(small, name, pooling):
    model = small(name, include_top=False, pooling=pooling)
    new = keras_effnets.reset_classifier(model, 3, dropout=0.25)
    assert new.output_shape == (None, 3)
    assert [layer.name for layer in new.layers[-2:]] == ["pool", "classifier"]
    assert type(new.layers[-1]) is Classifier
    assert new.layers[-1].dropout_rate == 0.25
    assert keras_effnets.reset_classifier(model, 3).layers[-1].dropout_rate == 0
    assert keras_effnets.body(model).output_shape == model.output_shape
    again = keras_effnets.reset_classifier(new, 7, activation=None)
    assert again.layers[-1].dropout_rate == 0.25
    assert again.layers[-1].activation is None
    assert again.layers[-1].labels is None


@pytest.mark.parametrize("name", ["efficientnet", "squeezenet"])
def test_a_seed_gives_the_same_weights(small, name):
    model = small(name)
    one, two, other = (
        keras_effnets.reset_classifier(model, 3, seed=seed).layers[-1].get_weights()
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one[0], two[0])
    assert one[0].std() > 0
    assert not np.array_equal(one[0], other[0])
    unseeded = keras_effnets.reset_classifier(model, 3).layers[-1].get_weights()
    assert 0.5 < one[0].std() / unseeded[0].std() < 2


def test_auxiliary_classifiers_go(small):
    model = small("googlenet", aux_heads=True)
    new = keras_effnets.reset_classifier(model, 3)
    assert new.output_shape == (None, 3)
    assert not [path for path in variables_by_path(new) if path.startswith("aux")]
    assert keras_effnets.body(model).output_shape == (None, model.get_layer("pool").output.shape[1])


def test_a_frozen_body_stays_frozen_and_the_new_classifier_trains(small):
    model = small("mobilenet_v1")
    model.trainable = False
    new = keras_effnets.reset_classifier(model, 3)
    paths = {weight.path for weight in new.trainable_weights}
    assert paths == {"classifier/dense/kernel", "classifier/dense/bias"}


def test_counts_of_the_study_notes():
    def three_classes():
        return keras_effnets.reset_classifier(keras_effnets.EfficientNetB0(weights=None), 3)

    model = sketch(three_classes)
    keras_effnets.freeze(model)
    shapes = {path: tuple(weight.shape) for path, weight in variables_by_path(model).items()}
    assert count_parameters(shapes) == 4_011_391
    trained = {weight.path: tuple(weight.shape) for weight in model.trainable_weights}
    assert count_parameters(trained) == 3_843


FRESH = """
import sys, warnings
warnings.simplefilter("error", UserWarning)
import keras, numpy as np
import keras_effnets
folder = sys.argv[1]
x = np.load(f"{folder}/x.npy")
for name in sys.argv[2:]:
    model = keras.saving.load_model(f"{folder}/{name}.keras")
    assert model.get_layer("classifier").labels == ("pizza", "steak", "sushi")
    assert model.get_layer("preprocessing").preset.crop == 67
    np.save(f"{folder}/{name}.npy", model(x, training=False))
"""


def test_reloaded_in_a_fresh_process_to_the_last_bit(small, tmp_path):
    names = ("alexnet", "googlenet", "nin", "mobilenet_v1")
    expected = {}
    for name in names:
        options = {"aux_heads": True} if name == "googlenet" else {}
        model = small(name, input_shape=(67, 67, 3), **options)
        model = keras_effnets.reset_classifier(model, 3, labels=LABELS)
        keras_effnets.freeze(model, until=0.5)
        model.save(tmp_path / f"{name}.keras")
        x = structure.pictures(model, batch=2)
        expected[name] = np.asarray(model(x, training=False))
    np.save(tmp_path / "x.npy", x)
    result = fresh_processes.run(FRESH, tmp_path, *names)
    assert result.returncode == 0, result.stderr[-3000:]
    for name in names:
        np.testing.assert_array_equal(np.load(tmp_path / f"{name}.npy"), expected[name])


def test_the_body_of_a_body_is_itself(small):
    once = keras_effnets.body(small("mobilenet_v3"))
    assert once.output_shape == (None, 32)
    assert keras_effnets.body(once).output_shape == (None, 32)
    assert keras_effnets.reset_classifier(once, 3).output_shape == (None, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 0}, "classes=0 is not an integer of 1 or more"),
        ({"classes": 2.0}, r"classes=2\.0 is not an integer"),
        ({"classes": True}, "classes=True is not an integer"),
        ({"dropout": 1.0}, r"dropout=1\.0 is not in \[0, 1\)"),
        ({"labels": ["a", "b"]}, r"labels=\['a', 'b'\] are 2 names for classes=3"),
        ({"labels": "abc"}, "labels='abc' is one string"),
    ],
)
def test_bad_input(small, options, message):
    model = small("mobilenet_v1")
    with pytest.raises(ValueError, match=message):
        keras_effnets.reset_classifier(model, **{"classes": 3, **options})


def test_another_head_on_a_network_of_ours_is_refused(small):
    model = small("mobilenet_v1", include_top=False, pooling="avg")
    own = keras.Model(model.input, keras.layers.Dense(3)(model.output), name="own")
    with pytest.raises(
        ValueError, match="model='own' ends neither in a classifier of this package"
    ):
        keras_effnets.reset_classifier(own, 5)
    with pytest.raises(ValueError, match="is not a network of keras_effnets"):
        keras_effnets.body(keras.Sequential([keras.Input((2,))]))
