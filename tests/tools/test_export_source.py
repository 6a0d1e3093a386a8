"""What a saved model says of itself: whether it is ours, and of which heritage."""

from dataclasses import replace

import keras
import pytest

import keras_effnets
from keras_effnets.models import efficientnet
from keras_effnets.models.builder import create
from weights_tools import export_source as donor
from weights_tools.export_torch import _source
from weights_tools.formats.checkpoint import read_checkpoint
from weights_tools.verify import our_network as ours


@keras.saving.register_keras_serializable(package="somebody")
class Classifier(keras.layers.Dense):
    """Somebody else's class of a name that one of ours has."""


def theirs():
    return keras.Sequential([keras.Input((4,)), Classifier(3, name="classifier")])


def of_keras():
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])


def own(**options):
    return keras_effnets.SqueezeNet(
        weights=None, input_shape=(33, 33, 3), base_e=8, incr_e=8, classes=3, **options
    )


def nested():
    body = own(include_top=False)
    inputs = keras.Input((33, 33, 3))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(body(inputs)))


@pytest.mark.parametrize(
    ("make", "expected"), [(theirs, False), (of_keras, False), (own, True), (nested, True)]
)
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_the_config_says_whose_layers_they_are(make, expected, ending, tmp_path):
    path = tmp_path / f"model{ending}"
    make().save(path)
    assert ours.has_our_layers(read_checkpoint(path)) is expected
    assert (ours.provenance(path) is not None) is expected


@pytest.mark.parametrize(("make", "expected"), [(of_keras, False), (own, True)])
def test_of_weights_alone_the_classes_do(make, expected, tmp_path):
    path = tmp_path / "model.weights.h5"
    make().save_weights(path)
    assert ours.has_our_layers(read_checkpoint(path)) is expected


@pytest.mark.parametrize("make", [theirs, of_keras])
def test_a_strangers_archive_is_not_opened_as_ours(make, tmp_path, monkeypatch):
    path = tmp_path / "model.keras"
    make().save(path)

    def refuse(*args, **kwargs):
        raise AssertionError("it was loaded")

    monkeypatch.setattr(keras.saving, "load_model", refuse)
    with pytest.raises(ValueError, match="was not built by keras_effnets"):
        donor.find_source(path, "squeezenet1_1", None)
    with pytest.raises(ValueError, match="is not a checkpoint of squeezenet1_1"):
        keras_effnets.SqueezeNet1_1(weights=path)


def small_b5(epsilon):
    """B5 by name and heritage, of few channels."""
    config = keras_effnets.EfficientNetB5.config
    config = replace(config, width=0.25, depth=0.1, torch=replace(config.torch, epsilon=epsilon))
    options = {"weights": None, "input_shape": (32, 32, 3), "classes": 3}
    return create(efficientnet.build, config, options)


@pytest.mark.parametrize(("epsilon", "fitting"), [(1e-3, "torchvision"), (1e-5, "timm")])
@pytest.mark.parametrize("kind", ["model", "archive"])
def test_b5_of_torchvision_and_of_timm_are_told_apart(epsilon, fitting, kind, tmp_path):
    """Same padding, other epsilon: the model's own layers say which it is."""
    model = small_b5(epsilon)
    if kind == "archive":
        model.save(tmp_path / "b5.keras")
        model = tmp_path / "b5.keras"
    found = donor.find_source(model, None, None)
    assert (found.config.profile, found.epsilon) == ("torch", epsilon)
    other = {"torchvision", "timm"} - {fitting}
    assert _source(found, fitting).profile == "torch"
    with pytest.raises(ValueError, match=f"to='{fitting}' fits"):
        _source(found, other.pop())
