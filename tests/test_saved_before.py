"""Files saved before the modules had the places they have now, and what they answered then.

`saved_before` holds them, compressed: they were written by the commit before the move, with
weights that repeat, so that each is a few kB. `every_layer` is a model of every layer that this
package registers; `resnet20_cifar` was saved by Keras, `converted` by `weights-tools convert`.
"""

import json
import lzma
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_effnets
from keras_effnets import layers

FOLDER = Path(__file__).with_name("saved_before")
EXPECTED = json.loads((FOLDER / "expected.json").read_text("utf-8"))


def unpacked(name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(lzma.decompress((FOLDER / f"{name}.xz").read_bytes()))
    return path


def pixels() -> np.ndarray:
    y, x, c = np.mgrid[0:32, 0:32, 0:3]
    return ((37 * y + 11 * x * (c + 1) + 5 * y * x) % 256).astype("float32")[None]


def assert_answers(model: keras.Model, name: str) -> None:
    found = model.predict(pixels(), verbose=0)
    wanted = EXPECTED[name]
    pairs = zip(found, wanted, strict=True) if name == "every_layer" else [(found, wanted)]
    for answer, before in pairs:
        np.testing.assert_allclose(answer, before, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_every_layer_loads_and_answers_the_same(ending, tmp_path):
    model = keras.saving.load_model(unpacked(f"every_layer{ending}", tmp_path))
    assert_answers(model, "every_layer")
    assert isinstance(model.optimizer, keras_effnets.LayerwiseAdamW)
    assert not model.get_layer("mbconv").trainable
    assert not model.get_layer("basic").conv1.trainable
    registered = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    inside = {type(layer).__name__ for layer in layers.nested_layers(model)}
    assert registered <= inside


def test_weights_of_every_layer_load_by_their_classes_names(tmp_path):
    model = keras.saving.load_model(unpacked("every_layer.keras", tmp_path), compile=False)
    for variable in model.variables:
        variable.assign(keras.ops.zeros_like(variable))
    model.load_weights(unpacked("every_layer.weights.h5", tmp_path))
    assert_answers(model, "every_layer")


@pytest.mark.parametrize("ending", [".keras", ".h5"])
def test_a_saved_network_loads(ending, tmp_path):
    path = unpacked(f"resnet20_cifar{ending}", tmp_path)
    assert_answers(keras.saving.load_model(path, compile=False), "resnet20_cifar")


@pytest.mark.parametrize(
    "name",
    [
        "resnet20_cifar.keras",
        "resnet20_cifar.weights.h5",
        "converted.safetensors",
        "converted.keras",
        "converted.weights.h5",
    ],
)
def test_a_builder_takes_their_weights(name, tmp_path):
    model = keras_effnets.ResNet20CIFAR(
        weights=unpacked(name, tmp_path), classifier_activation=None
    )
    assert_answers(model, "resnet20_cifar")
