"""Grouped convolution against PyTorch's, in each of its forms."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_effnets.layers import ConvNormAct, GroupedConv2D, portable_convolutions
from keras_effnets.layers.grouped_conv import _tensorflow_groups


def inputs(channels=8, side=9):
    return np.random.default_rng(0).normal(size=(2, side, side, channels)).astype("float32")


def layer(groups=4, **options):
    options = {"padding": "same", "kernel_initializer": "glorot_uniform", **options}
    return GroupedConv2D(12, 3, groups=groups, data_format="channels_last", **options)


@pytest.mark.parametrize("portable", [False, True])
@pytest.mark.parametrize("groups", [2, 4])
@pytest.mark.parametrize("options", [{}, {"strides": 2}, {"dilation_rate": 2}, {"use_bias": False}])
def test_numbers_and_gradients_are_pytorchs(portable, groups, options):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    convolve = layer(groups, padding="valid", **options)
    x = inputs()
    convolve.build(x.shape)
    assert convolve.kernel.shape == (3, 3, 8 // groups, 12)
    kernel = tf.convert_to_tensor(convolve.kernel)
    given = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch([given, convolve.kernel.value])
        if portable:
            with portable_convolutions():
                y = convolve(given)
        else:
            y = convolve(given)
        loss = tf.reduce_sum(y * y)
    gradients = tape.gradient(loss, [given, convolve.kernel.value])

    given_torch = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).requires_grad_()
    weight = torch.from_numpy(kernel.numpy().transpose(3, 2, 0, 1).copy()).requires_grad_()
    expected = torch.nn.functional.conv2d(
        given_torch,
        weight,
        stride=options.get("strides", 1),
        dilation=options.get("dilation_rate", 1),
        groups=groups,
    )
    (expected * expected).sum().backward()
    found = [y, *gradients]
    wanted = [
        expected.detach().numpy().transpose(0, 2, 3, 1),
        given_torch.grad.numpy().transpose(0, 2, 3, 1),
        weight.grad.numpy().transpose(2, 3, 1, 0),
    ]
    for ours, reference in zip(found, wanted, strict=True):
        assert np.abs(np.asarray(ours) - reference).max() <= 1e-5 * np.abs(reference).max()


def operators(function):
    graph = function.get_concrete_function(tf.TensorSpec((2, 9, 9, 8), "float32")).graph
    return [operation.type for operation in graph.get_operations()]


def test_nothing_must_be_compiled_and_the_portable_form_has_plain_convolutions_only():
    convolve = layer(4)
    convolve.build((2, 9, 9, 8))
    native = operators(tf.function(lambda x: convolve(x)))
    assert native.count("Conv2D") == (1 if _tensorflow_groups("float32") else 4)
    with portable_convolutions():
        portable = operators(tf.function(lambda x: convolve(x)))
    assert portable.count("Conv2D") == 4
    for found in (native, portable):
        assert not any("Call" in kind or "Xla" in kind for kind in found)


def test_float64_falls_back_where_tensorflow_has_no_kernel():
    convolve = layer(4, dtype="float64")
    x = inputs().astype("float64")
    y = convolve(x)
    reference = layer(4)
    reference.build(x.shape)
    reference.set_weights([np.asarray(w) for w in convolve.get_weights()])
    np.testing.assert_allclose(y, reference(x.astype("float32")), rtol=1e-4, atol=1e-5)


def test_without_onednn_it_is_split_and_trains():
    """In a separate process, as TensorFlow reads the variable only once."""
    program = """
import numpy as np, keras, tensorflow as tf
from keras_effnets.layers import ConvNormAct
from keras_effnets.layers.grouped_conv import _tensorflow_groups
assert not _tensorflow_groups("float32")
model = keras.Sequential([keras.Input((9, 9, 8)), ConvNormAct(12, groups=4),
                          keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((4, 9, 9, 8)), np.zeros(4), verbose=0)
assert np.isfinite(model.predict(np.ones((4, 9, 9, 8)), verbose=0)).all()
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not _tensorflow_groups("float32"), reason="no grouped kernel on this machine")
def test_the_fast_form_is_used_where_it_works():
    convolve = layer(4)
    convolve.build((2, 9, 9, 8))
    assert operators(tf.function(lambda x: convolve(x))).count("Split") == 0


def test_a_saved_layer_comes_back_the_same(tmp_path):
    model = keras.Sequential([keras.Input((9, 9, 8)), ConvNormAct(12, groups=4, name="unit")])
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(model(inputs()), again(inputs()))


def test_groups_must_divide_both_sides():
    with pytest.raises(ValueError, match=r"groups=5 does not divide filters=12"):
        ConvNormAct(12, groups=5)
    with pytest.raises(ValueError, match=r"groups=3 does not divide the input's 8 channels"):
        ConvNormAct(12, groups=3)(inputs())
