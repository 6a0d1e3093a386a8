"""SqueezeNet's block against its definition, with each bypass."""

import numpy as np
import pytest

from keras_effnets.layers import FireModule

X = np.random.default_rng(0).normal(size=(2, 5, 6, 8)).astype("float32")


def fire(bypass, seed=1):
    layer = FireModule(2, 3, 5, bypass=bypass)
    layer.build(X.shape)
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        weight.assign(rng.normal(size=weight.shape))
    return layer


def test_the_1x1_channels_come_first():
    layer = fire("none")
    outputs, squeezed = layer(X), layer.squeeze(X)
    np.testing.assert_array_equal(outputs[..., :3], layer.expand1x1(squeezed))
    np.testing.assert_array_equal(outputs[..., 3:], layer.expand3x3(squeezed))
    assert np.min(outputs) == 0


def test_a_bypass_is_added_after_the_relus():
    plain, simple, bypassed = fire("none"), fire("simple"), fire("complex")
    np.testing.assert_allclose(simple(X), plain(X) + X, rtol=1e-6)
    assert np.min(simple(X)) < 0
    inner = FireModule(2, 3, 5)
    inner.build(X.shape)
    for part in ("squeeze", "expand1x1", "expand3x3"):
        getattr(inner, part).set_weights(getattr(bypassed, part).get_weights())
    kernel, bias = bypassed.skip.get_weights()
    expected = np.asarray(inner(X)) + X @ kernel[0, 0] + bias
    np.testing.assert_allclose(bypassed(X), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bypass": "half"}, "bypass='half' is not one of"),
        ({"squeeze_filters": 0}, "squeeze_filters=0 is below 1"),
        ({"expand3x3_filters": 0}, "expand3x3_filters=0 is below 1"),
    ],
)
def test_bad_arguments_are_named(options, message):
    defaults = {"squeeze_filters": 2, "expand1x1_filters": 3, "expand3x3_filters": 5}
    with pytest.raises(ValueError, match=message):
        FireModule(**{**defaults, **options})


def test_a_simple_bypass_needs_as_many_channels():
    with pytest.raises(ValueError, match="adds the input's 7 channels to 8"):
        FireModule(2, 3, 5, bypass="simple", name="fire3").build((None, 4, 4, 7))
