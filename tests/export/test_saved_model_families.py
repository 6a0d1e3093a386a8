"""A SavedModel of every family."""

import keras
import pytest
import tensorflow as tf
from small_networks import FAMILIES, living

from keras_effnets.export import export_saved_model
from keras_effnets.export.parity import compare, probe_images, reference_outputs

# One of each kind of graph; the rest run with `make parity`.
ALWAYS = ("alexnet", "googlenet", "resnext_cifar", "mobilenet_v3")


@pytest.mark.parametrize(
    "family",
    [name if name in ALWAYS else pytest.param(name, marks=pytest.mark.full) for name in FAMILIES],
)
def test_probabilities_are_the_models(family, tmp_path):
    keras.utils.set_random_seed(1)
    model = living(family)
    version = export_saved_model(model, tmp_path)
    images = probe_images(model.input_shape[1:], 3)
    call = tf.saved_model.load(str(version)).signatures["serving_default"]
    outputs = call(images=tf.constant(images))["probabilities"]
    assert compare(reference_outputs(model, images), outputs, tolerance=1e-3).pictures == 3
