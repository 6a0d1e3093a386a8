"""Multiply-adds by kind of layer: for kernels and inputs of ones, the sum of the outputs."""

import keras
import numpy as np
import pytest

import keras_effnets
from keras_effnets.analysis.multiply_adds import layer_multiply_adds, multiply_adds

L = keras.layers

KINDS = {
    "conv1d": (lambda: L.Conv1D(4, 3, strides=2), (11, 3)),
    "conv2d": (lambda: L.Conv2D(4, (3, 2), dilation_rate=2), (9, 8, 3)),
    "conv2d grouped": (lambda: L.Conv2D(4, 3, groups=2), (6, 6, 6)),
    "conv3d": (lambda: L.Conv3D(2, 3), (5, 6, 7, 3)),
    "conv1d transpose": (lambda: L.Conv1DTranspose(4, 3, strides=2), (7, 3)),
    "conv2d transpose": (lambda: L.Conv2DTranspose(4, 3, strides=2), (5, 6, 3)),
    "conv3d transpose": (lambda: L.Conv3DTranspose(2, 2, strides=2), (3, 3, 3, 2)),
    "depthwise1d": (lambda: L.DepthwiseConv1D(3, depth_multiplier=2), (9, 4)),
    "depthwise2d": (lambda: L.DepthwiseConv2D(3, strides=2, depth_multiplier=2), (9, 9, 4)),
    "dense": (lambda: L.Dense(5), (7,)),
    "dense at each place": (lambda: L.Dense(5), (3, 4, 7)),
    "einsum": (lambda: L.EinsumDense("abc,cde->abde", (4, 2, 5)), (4, 3)),
}


def on_ones(layer, shape) -> tuple[keras.Model, float]:
    """A model of one layer of ones, and the sum of its outputs for ones."""
    model = keras.Sequential([keras.Input(shape), layer])
    for weight in model.weights:
        weight.assign(np.full(weight.shape, "kernel" in weight.path, np.float32))
    return model, float(np.sum(model(np.ones((2, *shape), np.float32))))


@pytest.mark.parametrize("kind", KINDS)
def test_each_product_is_counted(kind):
    build, shape = KINDS[kind]
    model, products = on_ones(build(), shape)
    found = keras_effnets.summary(model, 2, definition="paper")
    assert found.unknown == ()
    assert found.multiply_adds == products
    assert multiply_adds(model) == products / 2


def test_a_separable_convolution_is_one_over_space_and_one_over_channels():
    model = keras.Sequential([keras.Input((6, 6, 4)), L.SeparableConv2D(8, 3, padding="same")])
    found = keras_effnets.summary(model, definition="paper")
    assert found.multiply_adds == 36 * (9 * 4 + 4 * 8)


@pytest.mark.parametrize(("kind", "gates"), [("SimpleRNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_a_recurrent_layer_is_counted_at_each_step(kind, gates):
    model = keras.Sequential([keras.Input((7, 3)), getattr(L, kind)(5)])
    found = keras_effnets.summary(model, 2, definition="paper")
    assert found.multiply_adds == 2 * 7 * gates * (3 * 5 + 5 * 5)
    assert found.unknown == ()


def test_norms_and_look_ups_are_free_for_papers_and_one_a_value_for_torchinfo():
    inputs = keras.Input((9,), dtype="int32")
    x = L.Embedding(10, 4)(inputs)
    x = L.LayerNormalization()(L.BatchNormalization()(x))
    model = keras.Model(inputs, x)
    assert keras_effnets.summary(model, 2, definition="paper").multiply_adds == 0
    # Statistics are no parameters.
    assert keras_effnets.summary(model, 2).multiply_adds == 2 * (40 + 8 + 8)


def test_a_kind_without_a_rule_has_no_count():
    layer = L.ConvLSTM1D(2, 3)
    layer.build((None, 5, 8, 2))
    assert layer_multiply_adds(layer, [(1, 5, 8, 2)], [(1, 6, 2)]) is None


def test_the_sum_over_layers_names_a_kind_that_it_has_no_rule_for():
    class Scale(L.Layer):
        def build(self, input_shape):
            self.gamma = self.add_weight(shape=(input_shape[-1],), name="gamma")

        def call(self, inputs):
            return inputs * self.gamma

    model = keras.Sequential([keras.Input((4,)), Scale(name="scale")])
    with pytest.raises(ValueError, match=r"scale: no rule for the multiply-adds of Scale"):
        multiply_adds(model)


def test_another_definition_is_refused():
    model = keras.Sequential([keras.Input((4,)), L.Dense(2)])
    with pytest.raises(ValueError, match=r"definition='flops' is not one of \('paper'"):
        keras_effnets.summary(model, definition="flops")
