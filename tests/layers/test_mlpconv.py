"""Network In Network's block against its definition."""

import keras
import numpy as np
import pytest

from keras_effnets.layers import MlpConv

X = np.random.default_rng(0).normal(size=(2, 9, 9, 4)).astype("float32")


def test_every_convolution_has_its_relu():
    layer = MlpConv((6, 5, 3), 5, strides=2, padding=1)
    layer.build(X.shape)
    rng = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    (first, bias), *others = (
        part.get_weights() for part in (layer.conv1, layer.conv2, layer.conv3)
    )
    padded = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    expected = keras.ops.convert_to_numpy(keras.ops.conv(padded, first, 2)) + bias
    for kernel, bias in others:
        expected = np.maximum(expected, 0) @ kernel[0, 0] + bias
    np.testing.assert_allclose(layer(X), np.maximum(expected, 0), rtol=1e-4, atol=1e-4)


def test_dropout_comes_first_and_is_off_in_a_frozen_block():
    layer = MlpConv((6,), 1, dropout_rate=0.5)
    still = np.asarray(layer(X))
    assert not np.array_equal(layer(X, training=True), still)
    layer.trainable = False
    np.testing.assert_array_equal(layer(X, training=True), still)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"filters": ()}, "are not one or more"),
        ({"filters": (4, 0)}, "are not one or more"),
        ({"filters": (4,), "dropout_rate": 1.0}, "dropout_rate=1.0 is not in"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        MlpConv(**options)
