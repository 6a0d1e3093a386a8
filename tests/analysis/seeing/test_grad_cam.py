"""Grad-CAM on small networks of every family, and on photographs with real weights."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import photographs
import pretrained
import pytest

import keras_effnets
from keras_effnets.analysis.seeing import GradCAM, feature_maps, grad_cam
from keras_effnets.images.reading import read_rgb

TESTS = Path(__file__).parents[2]
TABBIES = (281, 282, 285)
"""ImageNet's tabby, tiger cat and Egyptian cat."""
ESPRESSO = 967


def some_picture(network):
    return np.random.default_rng(0).uniform(0, 255, network.input_shape[1:]).astype(np.float32)


def heat_inside(heat, left, top, right, bottom):
    return heat[top:bottom, left:right].sum() / heat.sum()


@pytest.fixture(scope="module")
def lite0():
    pretrained.checkpoint()
    return keras_effnets.EfficientNetLite0(input_shape=(None, None, 3))


@pytest.fixture(scope="module")
def cat_and_cup(lite0):
    """A cat of 224 × 224 pixels, and a cup of coffee beside it."""
    preset = lite0.get_layer("preprocessing").preset
    cat, cup = photographs.paths()[:2]
    assert (cat.stem, cup.stem) == ("chelsea", "coffee")
    return np.concatenate([keras_effnets.load_image(path, preset) for path in (cat, cup)], axis=1)


def test_the_heat_of_a_cat_is_on_the_cat(lite0):
    """The whole picture, 336 × 224: the cat's head is from its cheek to its ear."""
    picture = np.asarray(read_rgb(photographs.paths()[0]).resize((336, 224)), np.float32)
    heat = grad_cam(lite0, picture)
    assert heat.shape == (224, 336)
    assert heat_inside(heat, 24, 0, 282, 212) >= 0.8
    # What lies right of it is a sixth of the picture.
    assert heat_inside(heat, 282, 0, 336, 224) <= 0.1


def test_the_heat_of_the_models_own_crop_is_on_the_face(lite0):
    heat = grad_cam(lite0, photographs.paths()[0], 282)
    assert heat.shape == (224, 224)
    assert heat_inside(heat, 24, 50, 216, 216) >= 0.6


@pytest.mark.parametrize("class_", TABBIES)
def test_of_two_things_the_class_finds_its_own(class_, lite0, cat_and_cup):
    cam = GradCAM(lite0)
    assert heat_inside(cam(cat_and_cup, class_), 0, 0, 224, 224) >= 0.8
    assert heat_inside(cam(cat_and_cup, ESPRESSO), 224, 0, 448, 224) >= 0.8


def test_every_family_shows_where_it_looks(small, family):
    network = small(family)
    picture = some_picture(network)
    cam = GradCAM(network)
    heats = [cam(picture, class_) for class_ in range(4)]
    for heat in heats:
        assert heat.shape == picture.shape[:2]
        assert heat.dtype == np.float32
        assert heat.min() >= 0
        assert heat.max() in (0, 1)
    assert np.max(heats) == 1
    first = int(np.argmax(keras.ops.convert_to_numpy(network(picture[None], training=False))))
    np.testing.assert_array_equal(cam(picture), heats[first])


@pytest.mark.parametrize("family", ["resnet", "vgg", "squeezenet"])
def test_the_heat_is_of_the_logits_whatever_is_made_of_them(family, small):
    network, logits, gates = (
        small(family, classifier_activation=activation)
        for activation in ("softmax", None, "sigmoid")
    )
    picture = some_picture(network)
    for other in (logits, gates):
        other.set_weights(network.get_weights())
        for class_ in range(4):
            np.testing.assert_array_equal(
                grad_cam(network, picture, class_), grad_cam(other, picture, class_)
            )


def test_the_layer_is_the_last_convolution_or_the_one_asked_for(small):
    assert GradCAM(small("vgg")).layer == "conv5_1"
    assert GradCAM(small("densenet")).layer == "top"
    assert GradCAM(small("squeezenet")).layer == "fire9"
    network = small("resnet")
    picture = some_picture(network)
    assert GradCAM(network, "stage2_block0").coarse(picture, 0).shape == (5, 5)


def test_the_slopes_are_those_of_small_steps(small):
    """The weights, from the definition: a step along one map moves the logit by its mean slope."""
    network = small("efficientnet", input_shape=(65, 65, 3), classifier_activation=None)
    picture = some_picture(network)
    maps = feature_maps(network, picture, "stage5_block0")
    tail = keras.Model(network.get_layer("stage5_block0").output, network.output)
    step = 0.05
    slopes = []
    for channel in range(maps.shape[2]):
        moved = np.stack([maps, maps])
        moved[0, ..., channel] += step
        moved[1, ..., channel] -= step
        up, down = np.asarray(tail(moved, training=False))[:, 2]
        slopes.append((up - down) / (2 * step) / np.prod(maps.shape[:2]))
    expected = np.maximum(maps @ np.array(slopes), 0)
    found = GradCAM(network, "stage5_block0").coarse(picture, 2)
    assert expected.max() > 0
    np.testing.assert_allclose(found, expected, atol=0.02 * expected.max())


def test_nothing_is_left_behind(small):
    """Neither weights nor moving statistics change, frozen or not."""
    network = small("senet")
    before = network.get_weights()
    grad_cam(network, np.full((33, 33, 3), 100.0), 1)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_network_with_auxiliary_classifiers(small):
    network = small("googlenet", input_shape=(97, 97, 3), aux_heads=True)
    picture = some_picture(network)
    assert max(grad_cam(network, picture, class_).max() for class_ in range(4)) == 1


def test_a_network_with_another_classifier_and_its_old_self(small):
    old = small("resnet")
    new = keras_effnets.reset_classifier(old, 2, seed=0)
    picture = some_picture(old)
    before = [grad_cam(old, picture, class_) for class_ in range(4)]
    assert max(grad_cam(new, picture, class_).max() for class_ in range(2)) == 1
    for class_, heat in enumerate(before):
        np.testing.assert_array_equal(grad_cam(old, picture, class_), heat)
    with pytest.raises(ValueError, match="class_=2: expected an integer from 0 to 1"):
        grad_cam(new, picture, 2)


def test_mixed_precision(small):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = small("resnet")
    finally:
        keras.config.set_dtype_policy("float32")
    picture = some_picture(network)
    assert max(grad_cam(network, picture, class_).max() for class_ in range(4)) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_": 4}, "class_=4: expected an integer from 0 to 3"),
        ({"class_": -1}, "class_=-1"),
        ({"class_": 1.5}, "class_=1.5"),
        ({"layer": "pool"}, "layer='pool' has no feature maps: expected one of stem, "),
        ({"image": np.zeros((32, 33, 3))}, r"image has shape \(32, 33, 3\): 'small' takes"),
        ({"image": np.zeros((1, 33, 33, 3))}, "image has shape"),
        ({"image": b"no picture"}, "can't be read as an image"),
    ],
)
def test_a_users_mistake_is_named(options, message, small):
    options = {"image": np.zeros((33, 33, 3)), **options}
    with pytest.raises(ValueError, match=message):
        grad_cam(small("resnet"), **options)


def test_a_network_without_classes_or_of_others_is_refused(small):
    with pytest.raises(ValueError, match="no classifier"):
        grad_cam(small("resnet", include_top=False), np.zeros((33, 33, 3)))
    with pytest.raises(ValueError, match="not a network of keras_effnets"):
        grad_cam(keras.Sequential([keras.Input((8, 8, 3))]), np.zeros((8, 8, 3)))


ON_A_BACKEND = """
import json, sys
import numpy as np
import keras, small_networks
from keras_effnets.analysis.seeing import GradCAM
folder = sys.argv[1]
network = small_networks.small("nin_cifar")
network.load_weights(folder + "/small.weights.h5")
cam = GradCAM(network, "mlpconv1")
heats = [cam(np.load(folder + "/picture.npy"), class_).tolist() for class_ in range(4)]
print(json.dumps([keras.backend.backend(), heats]))
"""


@pytest.mark.parametrize("backend", ["jax", pytest.param("torch", marks=pytest.mark.full)])
def test_another_backend_sees_the_same(backend, small, tmp_path):
    pytest.importorskip(backend, reason="the other backends are in the test extra")
    network = small("nin_cifar")
    network.save_weights(tmp_path / "small.weights.h5")
    picture = some_picture(network)
    np.save(tmp_path / "picture.npy", picture)
    done = subprocess.run(
        [sys.executable, "-c", ON_A_BACKEND, tmp_path],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    name, heats = json.loads(done.stdout.splitlines()[-1])
    assert name == backend
    cam = GradCAM(network, "mlpconv1")
    ours = [cam(picture, class_) for class_ in range(4)]
    assert np.max(ours) == 1
    np.testing.assert_allclose(heats, ours, atol=1e-4)
