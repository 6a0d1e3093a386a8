"""GoogLeNet's auxiliary classifiers: taken, left out, or started afresh, as asked."""

import logging
from dataclasses import replace
from functools import partial

import keras
import numpy as np
import pytest
import shrinking
from safetensors.numpy import save_file

import keras_effnets
from keras_effnets.plan.deferred import outline
from keras_effnets.weights import cache
from keras_effnets.weights.names.rule import inverse

HEADS = ("classifier", "aux1", "aux2")
SHAPE = (33, 33, 3)
# Layers whose values must come from the file, whatever the classes are.
BODY = ("conv1", "inception4a", "inception5b")


@pytest.fixture(autouse=True, scope="module")
def narrow():
    """The network with an eighth of the channels in every block."""
    with shrinking.narrow():
        yield


build = partial(keras_effnets.GoogLeNet, input_shape=SHAPE, classifier_activation=None)


@pytest.fixture(scope="module")
def tensors(narrow):
    """By torchvision's names, auxiliary classifiers included."""
    config = replace(keras_effnets.GoogLeNet.config, aux_heads=True)
    rng = np.random.default_rng(0)
    shapes = outline(partial(build, weights=None, aux_heads=True))
    rules = config.spellings["torchvision"].rules(config)
    return {
        rule.source: np.ascontiguousarray(
            inverse(rule.kind, rng.uniform(0.5, 1.5, shapes[rule.target]).astype(np.float32))
        )
        for rule in rules
    }


@pytest.fixture(scope="module")
def theirs(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("theirs") / "googlenet.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def without(tensors, tmp_path_factory):
    """As torchvision saves a network that has none."""
    path = tmp_path_factory.mktemp("without") / "googlenet.safetensors"
    save_file({k: v for k, v in tensors.items() if not k.startswith("aux")}, path)
    return path


def assert_body(model, tensors):
    for layer in BODY:
        norms = [x for x in model.get_layer(layer)._flatten_layers() if x.name == "norm"]
        assert norms
        source = f"{layer}.bn.bias" if layer == "conv1" else f"{layer}.branch1.bn.bias"
        np.testing.assert_array_equal(norms[0].beta, tensors[source])


def untrained(caplog):
    """Layers that were said to start so."""
    return {
        path.partition("/")[0]
        for record in caplog.records
        if "starts untrained" in record.message
        for path in record.message.partition(":")[0].split(", ")
    }


def test_all_are_taken_where_the_classes_are_the_files(theirs, tensors, caplog):
    with caplog.at_level(logging.INFO, "keras_effnets"):
        model = build(weights=theirs, aux_heads=True)
    assert untrained(caplog) == set()
    assert_body(model, tensors)
    for name, source in zip(HEADS, ("fc", "aux1.fc2", "aux2.fc2"), strict=True):
        np.testing.assert_array_equal(
            model.get_layer(name).dense.bias, tensors[f"{source}.bias"], err_msg=name
        )


@pytest.mark.parametrize("file", ["theirs", "without"])
def test_with_other_classes_all_start_afresh(file, request, tensors, caplog):
    with caplog.at_level(logging.INFO, "keras_effnets"):
        model = build(weights=request.getfixturevalue(file), aux_heads=True, classes=5)
    assert untrained(caplog) == set(HEADS)
    assert_body(model, tensors)
    assert {name: output.shape for name, output in model.output.items()} == dict.fromkeys(
        HEADS, (None, 5)
    )
    for value in model.get_weights():
        assert np.isfinite(value).all()


def test_a_file_without_them_cannot_give_them(without):
    with pytest.raises(ValueError, match=r"missing: aux1\.conv\.conv\.weight"):
        build(weights=without, aux_heads=True)


def test_a_mistake_in_the_body_is_none_of_the_heads(tensors, tmp_path):
    wrong = {key: value for key, value in tensors.items() if not key.startswith("conv2")}
    save_file(wrong, tmp_path / "wrong.safetensors")
    with pytest.raises(ValueError, match=r"missing: conv2\.conv\.weight") as caught:
        build(weights=tmp_path / "wrong.safetensors", aux_heads=True, classes=5)
    assert "aux" not in str(caught.value)


@pytest.mark.parametrize("classes", [1000, 5])
def test_the_published_set_gives_them(classes, theirs, tensors, monkeypatch, caplog):
    asked = []

    def locate(info, model):
        asked.append((info.name, model))
        return theirs

    monkeypatch.setattr(cache, "locate", locate)
    with caplog.at_level(logging.INFO, "keras_effnets"):
        model = build(weights="imagenet", aux_heads=True, classes=classes)
    assert asked == [("IMAGENET1K_V1", "googlenet")]
    assert untrained(caplog) == (set() if classes == 1000 else set(HEADS))
    assert_body(model, tensors)
    preset = model.get_layer("preprocessing").preset
    assert preset.mean == pytest.approx((127.5,) * 3)
    assert not list(cache.home().glob("**/googlenet*"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of ours of five classes with its auxiliary classifiers, in Keras's formats."""
    folder = tmp_path_factory.mktemp("trained")
    model = build(weights=None, aux_heads=True, classes=5)
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    return folder, model


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_after_training_they_are_left_out_or_taken_again(trained, ending, caplog):
    folder, model = trained
    path = folder / f"model{ending}"
    x = np.random.default_rng(0).uniform(0, 255, (2, *SHAPE)).astype("float32")
    expected = model(x, training=False)
    with caplog.at_level(logging.INFO, "keras_effnets"):
        plain = build(weights=path, classes=5)
        again = build(weights=path, classes=5, aux_heads=True)
    assert untrained(caplog) == set()
    np.testing.assert_allclose(plain(x, training=False), expected["classifier"], rtol=1e-5)
    for name, values in again(x, training=False).items():
        np.testing.assert_allclose(values, expected[name], rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("ending", [".keras", ".weights.h5"])
def test_a_trained_classifier_stays_beside_new_auxiliary_ones(ending, tmp_path, caplog):
    model = build(weights=None, classes=5)
    path = tmp_path / f"model{ending}"
    if ending == ".keras":
        model.save(path)
    else:
        model.save_weights(path)
    keras.utils.set_random_seed(3)
    with caplog.at_level(logging.INFO, "keras_effnets"):
        again = build(weights=path, classes=5, aux_heads=True)
    assert untrained(caplog) == {"aux1", "aux2"}
    np.testing.assert_array_equal(
        again.get_layer("classifier").dense.kernel, model.get_layer("classifier").dense.kernel
    )
