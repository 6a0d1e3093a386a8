"""Tops that are more than one dense layer: left out, kept, or started afresh, as asked."""

import logging

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import numpy as np  # noqa: E402
import plain  # noqa: E402
import shrunken  # noqa: E402

import keras_effnets  # noqa: E402
from keras_effnets.weights import load as loading  # noqa: E402
from keras_effnets.weights.catalog import WEIGHTS  # noqa: E402
from weights_tools.convert import convert  # noqa: E402

SHAPE = (64, 64, 3)


@pytest.fixture(scope="module")
def vgg11(tmp_path_factory):
    """A checkpoint in torch's format, and its tensors."""
    path = tmp_path_factory.mktemp("vgg11") / "vgg11.pth"
    state_dict = plain.module_of("vgg11").state_dict()
    for tensor in state_dict.values():
        tensor.normal_(0, 0.01)
    torch.save(state_dict, path)
    return path, state_dict


def test_hidden_layers_are_left_out_with_the_top(vgg11):
    path, state_dict = vgg11
    model = shrunken.build("vgg11", weights=path, include_top=False, input_shape=SHAPE)
    assert model.layers[-1].name == "pool5"
    np.testing.assert_array_equal(
        model.get_layer("conv1_1").conv.bias, state_dict["features.0.bias"]
    )


def test_hidden_layers_stay_with_other_classes(vgg11, caplog):
    path, state_dict = vgg11
    with caplog.at_level(logging.INFO, "keras_effnets"):
        model = shrunken.build("vgg11", weights=path, classes=7, input_shape=SHAPE)
    assert "classifier/dense/kernel, classifier/dense/bias: not in" in caplog.text
    np.testing.assert_array_equal(
        model.get_layer("fc7").dense.bias, state_dict["classifier.3.bias"]
    )


@pytest.fixture
def features_only(vgg11, tmp_path, monkeypatch):
    """A set of which only the features are of use: what is behind them is no number."""
    info = next(each for each in WEIGHTS["vgg16"] if each.name == "IMAGENET1K_FEATURES")
    assert not info.has_classifier
    state_dict = {
        key: torch.full_like(tensor, torch.nan) if key.startswith("classifier") else tensor
        for key, tensor in vgg11[1].items()
    }
    torch.save(state_dict, tmp_path / "features.pth")
    monkeypatch.setattr(loading, "find_by_hash", lambda model, digest: info)
    return tmp_path / "features.pth"


def test_features_alone_are_read_by_their_own_colours(features_only):
    model = shrunken.build("vgg11", weights=features_only, include_top=False, input_shape=SHAPE)
    assert model.get_layer("preprocessing").preset.std == pytest.approx((1, 1, 1))


def test_features_alone_have_no_classifier_to_give(features_only):
    with pytest.raises(ValueError, match="has no classifier: pass include_top=False"):
        shrunken.build("vgg11", weights=features_only, input_shape=SHAPE)


def test_a_whole_top_starts_afresh_behind_features_alone(features_only, caplog):
    with caplog.at_level(logging.INFO, "keras_effnets"):
        model = shrunken.build("vgg11", weights=features_only, classes=7, input_shape=SHAPE)
    assert "fc6/dense/kernel" in caplog.text
    assert all(np.isfinite(value).all() for value in model.get_weights())


@pytest.mark.parametrize("name", ["squeezenet1_1", "nin_cifar"])
@pytest.mark.parametrize("ending", [".safetensors", ".keras", ".weights.h5"])
def test_a_convolved_classifier_travels_in_every_format(name, ending, tmp_path):
    reference = plain.reference(name, 33)
    torch.save(reference.state_dict, tmp_path / "theirs.pth")
    report = convert(tmp_path / "theirs.pth", name, tmp_path / f"ours{ending}")
    assert report.classes == reference.logits.shape[1]
    assert report.left_out == ()
    options = {"weights": report.out, "input_shape": (33, 33, 3), "classifier_activation": None}
    model = keras_effnets.create_model(name, **options)
    logits, _ = plain.compare.run(model, reference.pictures)
    assert plain.compare.relative_error(logits, reference.logits) <= plain.compare.TOLERANCE
    other = keras_effnets.create_model(name, **options, classes=7)
    assert other.output_shape == (None, 7)
    body = keras_effnets.create_model(name, **options, include_top=False)
    assert "classifier" not in [layer.name for layer in body.layers]
