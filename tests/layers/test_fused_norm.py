"""Convolution and batch norm in one: when, and that nothing but the speed changes."""

import keras
import numpy as np
import pytest
from keras import KerasTensor

from keras_effnets.layers import ConvNormAct, DepthwiseConvNormAct, separate_norms
from keras_effnets.layers.fused_norm import can_fuse

UNITS = {
    "conv": (ConvNormAct, {"filters": 6, "strides": 2, "activation": "relu6"}),
    "bias": (ConvNormAct, {"filters": 6, "use_bias": True, "activation": None}),
    "groups": (ConvNormAct, {"filters": 8, "groups": 2, "padding": "same"}),
    "dilated": (ConvNormAct, {"filters": 6, "dilation_rate": 2, "activation": "silu"}),
    "depthwise": (DepthwiseConvNormAct, {"kernel_size": 5, "strides": 2, "padding": "same"}),
    "dilated_depthwise": (DepthwiseConvNormAct, {"dilation_rate": 2, "activation": "silu"}),
}


def living(name: str, **options):
    """A unit of that name whose every weight does something, and pictures for it."""
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
    unit, pictures = living(name)
    assert can_fuse(unit.norm, pictures, False) == (keras.backend.backend() == "tensorflow")
    together = keras.ops.convert_to_numpy(unit(pictures))
    with separate_norms():
        separately = keras.ops.convert_to_numpy(unit(pictures))
    assert np.ptp(separately) > 0.1
    np.testing.assert_allclose(together, separately, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="fuses on TensorFlow alone")
@pytest.mark.parametrize("name", UNITS)
def test_a_frozen_norm_is_fused_while_the_kernel_learns_by_the_same_gradient(name):
    import tensorflow as tf

    unit, pictures = living(name)
    unit.norm.trainable = False

    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(unit(pictures, training=True) ** 2)
        weights = unit.trainable_weights
        return [gradient.numpy() for gradient in tape.gradient(loss, weights)]

    together = gradients()
    with separate_norms():
        separately = gradients()
    for ours, reference in zip(together, separately, strict=True):
        assert np.abs(reference).max() > 0
        np.testing.assert_allclose(ours, reference, rtol=1e-4, atol=1e-4)


def test_a_norm_that_learns_is_not_fused():
    unit, pictures = living("conv")
    assert not can_fuse(unit.norm, pictures, True)
    before = keras.ops.convert_to_numpy(unit.norm.moving_mean).copy()
    unit(pictures, training=True)
    assert np.abs(keras.ops.convert_to_numpy(unit.norm.moving_mean) - before).max() > 0


def test_half_precision_is_not_fused():
    unit, pictures = living("conv", dtype="mixed_float16")
    assert not can_fuse(unit.norm, pictures, False)


def test_symbols_meet_both_layers():
    unit, _ = living("conv")
    assert not can_fuse(unit.norm, KerasTensor((None, 9, 9, 4)), False)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TensorFlow's graph")
def test_the_graph_has_no_pass_for_the_norm():
    import tensorflow as tf

    unit, pictures = living("conv")
    graph = tf.function(lambda x: unit(x)).get_concrete_function(tf.constant(pictures)).graph
    # Before activation the features meet one addition, and no multiplication.
    of_features = [
        operation.type
        for operation in graph.get_operations()
        if operation.outputs and operation.outputs[0].shape == (3, 5, 5, 6)
    ]
    assert of_features[:2] == ["Conv2D", "AddV2"]
    assert "Mul" not in of_features


def test_whoever_watches_the_layers_can_have_them_called(monkeypatch):
    unit, pictures = living("conv")
    seen, call = [], unit.norm.call
    monkeypatch.setattr(unit.norm, "call", lambda x, **k: seen.append(x.shape) or call(x, **k))
    with separate_norms():
        unit(pictures)
    assert seen == [(3, 5, 5, 6)]
