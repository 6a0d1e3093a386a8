"""What is frozen stands still, what is not trains, and a saved model remembers which is which."""

import keras
import numpy as np
import pytest
import structure
from small_networks import FAMILIES

import keras_effnets
from keras_effnets.layers import nested_layers
from keras_effnets.plan.deferred import variables_by_path


def fit(model):
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(structure.pictures(model, batch=2), np.arange(2), verbose=0)


def moved_by_fit(model):
    """Paths of the weights that a fit changes."""
    before = {path: weight.numpy().copy() for path, weight in variables_by_path(model).items()}
    fit(model)
    after = variables_by_path(model)
    return {path for path, old in before.items() if not np.array_equal(after[path].numpy(), old)}


# One for each way to normalise, to drop and to branch; the others in `make parity`.
SOME = ("alexnet", "nin", "googlenet", "senet", "preact_cifar", "densenet", "efficientnet")


def training(model):
    """Names of the model's layers that have weights to train, in order."""
    return [layer.name for layer in model.layers if layer.trainable_weights]


def statistics(paths):
    return {path for path in paths if "/moving_" in path}


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=() if name in SOME else pytest.mark.full) for name in FAMILIES],
)
def test_a_frozen_body_stands_still_and_drops_nothing_also_when_reloaded(small, family, tmp_path):
    model = keras_effnets.reset_classifier(small(family), 3, dropout=0.0)
    keras_effnets.freeze(model)
    model.save(tmp_path / "frozen.keras")
    x = structure.pictures(model, batch=2)
    np.testing.assert_array_equal(model(x, training=True), model(x, training=False))
    frozen = keras.saving.load_model(tmp_path / "frozen.keras")
    assert training(frozen) == training(model) == ["classifier"]
    np.testing.assert_array_equal(frozen(x, training=True), model(x, training=False))
    moved = moved_by_fit(frozen)
    assert moved
    assert {path.split("/")[0] for path in moved} == {"classifier"}


def test_fit_in_a_graph_leaves_a_frozen_body_alone(small):
    model = small("efficientnet")
    keras_effnets.freeze(model)
    before = {path: weight.numpy().copy() for path, weight in variables_by_path(model).items()}
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(structure.pictures(model), np.arange(4), verbose=0)
    for path, weight in variables_by_path(model).items():
        assert np.array_equal(weight.numpy(), before[path]) != path.startswith("classifier"), path


WITH_NORMS = ("densenet", "efficientnet", "preact_cifar", "vgg")


@pytest.mark.parametrize("name", WITH_NORMS)
def test_norms_of_blocks_that_train_stay_at_inference_also_when_reloaded(small, name, tmp_path):
    model = small(name)
    middle = training(model)[len(training(model)) // 2]
    keras_effnets.freeze(model, until=middle)
    model.save(tmp_path / "half.keras")
    half = keras.saving.load_model(tmp_path / "half.keras")
    names = {weight.path for weight in half.trainable_weights}
    assert names == {weight.path for weight in model.trainable_weights}
    assert not any(path.endswith(("/gamma", "/beta")) for path in names)
    moved = moved_by_fit(half)
    assert moved <= names
    assert {path.split("/")[0] for path in moved} >= {"classifier", training(half)[0]}


@pytest.mark.parametrize("name", WITH_NORMS)
def test_norms_train_with_their_blocks_where_asked(small, name, tmp_path):
    model = small(name)
    keras_effnets.freeze(model, until=0.5)
    keras_effnets.freeze(model, until=0.5, batch_norm="trained")
    blocks = training(model)
    model.save(tmp_path / "half.keras")
    half = keras.saving.load_model(tmp_path / "half.keras")
    assert training(half) == blocks
    moved = statistics(moved_by_fit(half))
    expected = statistics(p for p in variables_by_path(half) if p.split("/")[0] in blocks)
    assert moved == expected
    assert moved


# Where a cut behind the second stage is: the first layer with weights that still trains.
BEHIND_STAGE2 = {
    "alexnet": "conv2",
    "zfnet": "conv2",
    "nin": "mlpconv2",
    "vgg": "conv4_1",
    "googlenet": "inception3a",
    "squeezenet": "fire5",
    "resnet": "stage3_block0",
    "cifar_resnet": "stage3_block0",
    "densenet": "transition2",
    "efficientnet": "stage3_block0",
    "mobilenet_v3": "stage3_block0",
}


@pytest.mark.parametrize("name", BEHIND_STAGE2)
def test_a_stage_is_frozen_to_its_end_and_the_next_one_trains_from_its_start(small, name):
    model = small(name)
    everything = training(model)
    cut = everything.index(BEHIND_STAGE2[name])
    keras_effnets.freeze(model, until="stage2", batch_norm="trained")
    assert training(model) == everything[cut:]
    keras_effnets.freeze(model)
    assert training(model) == ["classifier"]
    keras_effnets.unfreeze(model, since="stage3", batch_norm="trained")
    # DenseNet's stages have transitions between them.
    assert training(model) == everything[cut + (name == "densenet") :]


def test_layers_and_shares_of_the_body_are_cuts_too(small):
    model = small("vgg")
    everything = training(model)
    assert everything[-3:] == ["fc6", "fc7", "classifier"]
    keras_effnets.freeze(model, until="conv3_1")
    assert training(model)[0] == "conv3_2"
    keras_effnets.unfreeze(model, since="conv3_1")
    assert training(model)[0] == "conv3_1"
    keras_effnets.freeze(model, until="pool5")
    assert training(model) == ["fc6", "fc7", "classifier"]
    keras_effnets.unfreeze(model)
    assert training(model) == everything
    for share, first in ((0, 0), (0.25, 2), (0.5, 4), (1.0, 8)):
        keras_effnets.unfreeze(model)
        keras_effnets.freeze(model, until=share)
        assert training(model) == everything[first:]
        keras_effnets.freeze(model)
        keras_effnets.unfreeze(model, since=share)
        assert training(model) == everything[first:]


def test_other_layers_stay_as_they_are(small):
    model = small("resnet")
    keras_effnets.freeze(model)
    keras_effnets.freeze(model, until="stem")
    assert training(model) == ["classifier"]
    keras_effnets.unfreeze(model, since="classifier")
    assert training(model) == ["classifier"]
    keras_effnets.freeze(model, until="classifier")
    assert training(model) == []


def test_a_model_frozen_as_a_whole_trains_again_from_a_layer_on(small):
    model = small("efficientnet")
    model.trainable = False
    keras_effnets.unfreeze(model, since="top")
    assert training(model) == ["top", "classifier"]
    assert {weight.path for weight in model.trainable_weights} == {
        "top/conv/kernel",
        "classifier/dense/kernel",
        "classifier/dense/bias",
    }
    keras_effnets.unfreeze(model, batch_norm="trained")
    assert all(layer.trainable for layer in nested_layers(model) if layer.weights)


def test_auxiliary_classifiers_are_no_part_of_the_body(small):
    model = small("googlenet", aux_heads=True)
    keras_effnets.freeze(model)
    assert sorted(training(model)) == ["aux1", "aux2", "classifier"]
    norms = [weight.path for weight in model.trainable_weights if weight.path.endswith("/gamma")]
    assert sorted(norms) == ["aux1/conv/norm/gamma", "aux2/conv/norm/gamma"]


def test_layers_before_the_preprocessing_are_frozen_with_the_rest(small):
    pictures = keras.Input((32, 32, 1))
    grey = keras.layers.Conv2D(3, 1, name="colours")(pictures)
    model = small("mobilenet_v1", input_tensor=grey, input_shape=None)
    keras_effnets.freeze(model, until="stage1")
    assert training(model)[0] == "stage2_block0"


def test_summary_counts_what_trains(small):
    model = keras_effnets.reset_classifier(small("mobilenet_v1"), 3)
    keras_effnets.freeze(model)
    lines = []
    model.summary(print_fn=lambda text, **_: lines.append(text))
    assert "Trainable params: 771 " in "\n".join(lines)  # 256 · 3 + 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "resnet",
            {"until": "stage9"},
            "until='stage9' is not a .*; there are stage1, .*stem.*classifier",
        ),
        (
            "alexnet",
            {"until": "stage1"},
            "until='stage1' is not a .* stage; there are stage2, stage3",
        ),
        ("resnet", {"until": 1.5}, r"until=1\.5 is neither a name nor a number in \[0, 1\]"),
        ("resnet", {"until": True}, "until=True is neither"),
        ("resnet", {"until": float("nan")}, "until=nan is neither"),
        ("resnet", {"batch_norm": "on"}, "batch_norm='on' is not one of 'frozen', 'trained'"),
    ],
)
def test_bad_input(small, name, options, message):
    model = small(name)
    with pytest.raises(ValueError, match=message):
        keras_effnets.freeze(model, **options)
    if "until" in options:
        options, message = {"since": options["until"]}, message.replace("until", "since")
    with pytest.raises(ValueError, match=message):
        keras_effnets.unfreeze(model, **options)
    assert len(model.trainable_weights) == len(small(name).trainable_weights)


@pytest.mark.parametrize("model", [keras.Sequential([keras.Input((2,))], name="theirs"), "theirs"])
def test_models_of_others_are_refused(model):
    with pytest.raises(ValueError, match="model='theirs' is not a network of keras_effnets"):
        keras_effnets.freeze(model)
