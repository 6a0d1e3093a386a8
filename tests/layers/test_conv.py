"""Units: padding against PyTorch's own convolution, and the batch norm fused into it."""

import keras
import numpy as np
import pytest

from keras_effnets.layers import ConvNormAct, DepthwiseConvNormAct, separate_norms
from keras_effnets.layers.conv import can_fuse

CHANNELS = 4


def unit(depthwise, **options):
    options = {"activation": None, "epsilon": 1e-3, **options}
    return DepthwiseConvNormAct(**options) if depthwise else ConvNormAct(6, **options)


def noise(height, width):
    return np.random.default_rng(0).normal(size=(2, height, width, CHANNELS)).astype("float32")


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize(("strides", "dilation_rate"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("sides", [(12, 12), (11, 11), (12, 11)])
def test_symmetric_padding_is_pytorchs(depthwise, kernel_size, strides, dilation_rate, sides):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    layer = unit(depthwise, kernel_size=kernel_size, strides=strides, dilation_rate=dilation_rate)
    x = noise(*sides)
    y = np.asarray(layer(x))
    axes = (2, 3, 0, 1) if depthwise else (3, 2, 0, 1)
    expected = torch.nn.functional.conv2d(
        torch.from_numpy(x.transpose(0, 3, 1, 2)),
        torch.from_numpy(np.asarray(layer.conv.kernel).transpose(axes).copy()),
        stride=strides,
        padding=dilation_rate * (kernel_size - 1) // 2,
        dilation=dilation_rate,
        groups=CHANNELS if depthwise else 1,
    )
    # A new batch norm divides by the square root of its variance, 1, plus epsilon.
    expected = expected.numpy().transpose(0, 2, 3, 1) / np.sqrt(1 + layer.epsilon)
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("kernel_size", [3, 5])
@pytest.mark.parametrize(("strides", "side"), [(2, 12), (2, 11), (1, 12), (1, 11)])
def test_the_two_paddings_differ_only_where_a_stride_meets_an_even_side(
    depthwise, kernel_size, strides, side
):
    layers = [
        unit(depthwise, kernel_size=kernel_size, strides=strides, padding=padding)
        for padding in ("symmetric", "same")
    ]
    x = noise(side, side)
    for layer in layers:
        layer(x)
        layer.set_weights(layers[0].get_weights())
    symmetric, same = (np.asarray(layer(x)) for layer in layers)
    difference = np.abs(symmetric - same).max() / np.abs(same).max()
    if strides == 2 and side % 2 == 0:
        # Everywhere, not just at the border: the grid is shifted by a pixel.
        assert difference > 0.1
        inner = np.abs(symmetric - same)[:, 2:-2, 2:-2]
        assert inner.min(axis=(0, 3)).size
        assert np.median(inner) > 0.01
    else:
        assert difference < 1e-6


def test_arguments_reach_the_batch_norm():
    layer = ConvNormAct(8, epsilon=0.5, momentum=0.25)
    layer.build((1, 8, 8, 3))
    assert (layer.norm.epsilon, layer.norm.momentum) == (0.5, 0.25)
    assert not layer.conv.use_bias


@pytest.mark.parametrize(("activation", "low", "high"), [("relu", 0, None), ("relu6", 0, 6)])
def test_activation_comes_last(activation, low, high):
    layer, x = ConvNormAct(8, activation=activation), 100 * noise(8, 8)
    y = np.asarray(layer(x))
    assert y.min() == low
    assert y.max() == high if high else y.max() > 6


UNITS = {
    "conv": (ConvNormAct, {"filters": 6, "strides": 2, "activation": "relu6"}),
    "bias": (ConvNormAct, {"filters": 6, "use_bias": True, "activation": None}),
    "groups": (ConvNormAct, {"filters": 8, "groups": 2, "padding": "same"}),
    "dilated": (ConvNormAct, {"filters": 6, "dilation_rate": 2, "activation": "silu"}),
    "depthwise": (DepthwiseConvNormAct, {"kernel_size": 5, "strides": 2, "padding": "same"}),
    "dilated_depthwise": (DepthwiseConvNormAct, {"dilation_rate": 2, "activation": "silu"}),
}


def living(name: str, **options):
    """A unit of `UNITS` with no weight at its start value, and images for it."""
    keras.utils.set_random_seed(7)
    layer, own = UNITS[name]
    unit = layer(**own, **options)
    unit.build((None, 9, 9, 4))
    generator = np.random.default_rng(7)
    for weight in unit.weights:
        weight.assign(generator.uniform(0.5, 1.5, weight.shape) * generator.choice([-1, 1]))
    unit.norm.moving_variance.assign(generator.uniform(0.5, 1.5, unit.norm.moving_variance.shape))
    return unit, generator.normal(size=(3, 9, 9, 4)).astype("float32")


@pytest.mark.parametrize("name", UNITS)
def test_gives_what_the_two_give_one_after_the_other(name):
    unit, images = living(name)
    assert can_fuse(unit.norm, images, False) == (keras.backend.backend() == "tensorflow")
    together = keras.ops.convert_to_numpy(unit(images))
    with separate_norms():
        separately = keras.ops.convert_to_numpy(unit(images))
    assert np.ptp(separately) > 0.1
    np.testing.assert_allclose(together, separately, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="fuses on TensorFlow alone")
@pytest.mark.parametrize("name", UNITS)
def test_a_frozen_norm_is_fused_while_the_kernel_learns_by_the_same_gradient(name):
    import tensorflow as tf

    unit, images = living(name)
    unit.norm.trainable = False

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(unit(images, training=True) ** 2)
        weights = unit.trainable_weights
        return [gradient.numpy() for gradient in tape.gradient(loss, weights)]

    together = gradients()
    with separate_norms():
        separately = gradients()
    for ours, reference in zip(together, separately, strict=True):
        assert np.abs(reference).max() > 0
        np.testing.assert_allclose(ours, reference, rtol=1e-4, atol=1e-4)


def test_a_norm_that_learns_is_not_fused():
    unit, images = living("conv")
    assert not can_fuse(unit.norm, images, True)
    before = keras.ops.convert_to_numpy(unit.norm.moving_mean).copy()
    unit(images, training=True)
    assert np.abs(keras.ops.convert_to_numpy(unit.norm.moving_mean) - before).max() > 0


def test_half_precision_is_not_fused():
    unit, images = living("conv", dtype="mixed_float16")
    assert not can_fuse(unit.norm, images, False)


def test_symbolic_inputs_are_not_fused():
    unit, _ = living("conv")
    assert not can_fuse(unit.norm, keras.KerasTensor((None, 9, 9, 4)), False)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's graph")
def test_the_graph_has_no_pass_for_the_norm():
    import tensorflow as tf

    unit, images = living("conv")
    graph = tf.function(lambda x: unit(x)).get_concrete_function(tf.constant(images)).graph
    # Before the activation there is one addition over the features, and no multiplication.
    of_features = [
        operation.type
        for operation in graph.get_operations()
        if operation.outputs and operation.outputs[0].shape == (3, 5, 5, 6)
    ]
    assert of_features[:2] == ["Conv2D", "AddV2"]
    assert "Mul" not in of_features


def test_separate_norms_calls_both_layers(monkeypatch):
    unit, images = living("conv")
    seen, call = [], unit.norm.call
    monkeypatch.setattr(unit.norm, "call", lambda x, **k: seen.append(x.shape) or call(x, **k))
    with separate_norms():
        unit(images)
    assert seen == [(3, 5, 5, 6)]
