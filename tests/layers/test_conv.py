"""Padding, against PyTorch's own convolution."""

import numpy as np
import pytest

from keras_effnets.layers import ConvNormAct, DepthwiseConvNormAct

CHANNELS = 4


def unit(depthwise, **options):
    options = {"activation": None, "epsilon": 1e-3, **options}
    return DepthwiseConvNormAct(**options) if depthwise else ConvNormAct(6, **options)


def pictures(height, width):
    return np.random.default_rng(0).normal(size=(2, height, width, CHANNELS)).astype("float32")


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize(("strides", "dilation_rate"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("sides", [(12, 12), (11, 11), (12, 11)])
def test_symmetric_padding_is_pytorchs(depthwise, kernel_size, strides, dilation_rate, sides):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    layer = unit(depthwise, kernel_size=kernel_size, strides=strides, dilation_rate=dilation_rate)
    x = pictures(*sides)
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
    x = pictures(side, side)
    for layer in layers:
        layer(x)
        layer.set_weights(layers[0].get_weights())
    symmetric, same = (np.asarray(layer(x)) for layer in layers)
    difference = np.abs(symmetric - same).max() / np.abs(same).max()
    if strides == 2 and side % 2 == 0:
        # Everywhere, and not just at the border: the grid is shifted by a pixel.
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
    layer, x = ConvNormAct(8, activation=activation), 100 * pictures(8, 8)
    y = np.asarray(layer(x))
    assert y.min() == low
    assert y.max() == high if high else y.max() > 6
