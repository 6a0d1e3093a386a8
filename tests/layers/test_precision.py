"""Dtype policies: what stays in full precision, and what follows."""

import keras
import numpy as np
import pytest

from keras_effnets.images.preset import Preset
from keras_effnets.layers import (
    Classifier,
    ConvNormAct,
    InvertedResidual,
    MBConvSE,
    Preprocessing,
    SqueezeExcite,
    StochasticDepth,
)

PRESET = Preset(crop=8, resize=8)
BLOCKS = {
    "conv": lambda: ConvNormAct(4, name="block"),
    "inverted_residual": lambda: InvertedResidual(3, drop_path=0.5, name="block"),
    "mbconv": lambda: MBConvSE(3, drop_path=0.5, name="block"),
    "squeeze_excite": lambda: SqueezeExcite(2, name="block"),
    "stochastic_depth": lambda: StochasticDepth(0.5, name="block"),
}


@pytest.fixture
def policy():
    """Sets the global dtype policy, for one test."""
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


def model_of(block):
    inputs = keras.Input((8, 8, 3))
    x = block()(Preprocessing(PRESET, name="preprocessing")(inputs))
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, Classifier(2, name="classifier")(x))


def every_layer(layer):
    yield layer
    for part in layer._layers:
        yield from every_layer(part)


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("half", ["bfloat16", "float16"])
def test_only_the_ends_stay_in_full_precision_when_it_is_mixed(policy, name, half):
    policy(f"mixed_{half}")
    model = model_of(BLOCKS[name])
    ends = ("preprocessing", "classifier")
    for layer in model.layers[1:]:
        expected = "float32" if layer.name in ends else half
        assert {part.compute_dtype for part in every_layer(layer)} == {expected}, layer.name
        assert dtype_of(layer.output) == expected
    taps = keras.Model(model.input, [layer.output for layer in model.layers[1:]])
    x = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype("float32")
    for training in (False, True):
        preprocessed, block, _, scores = taps(x, training=training)
        assert [dtype_of(t) for t in (preprocessed, block, scores)] == ["float32", half, "float32"]
    assert {v.dtype for v in model.weights} <= {"float32"}
    # Not merely stored in float32: bfloat16 would keep eight bits of it.
    exact = (x - np.float32(PRESET.mean)) / np.float32(PRESET.std)
    np.testing.assert_allclose(preprocessed, exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", BLOCKS)
def test_float64_is_float64_everywhere(policy, name):
    policy("float64")
    model = model_of(BLOCKS[name])
    assert {p.compute_dtype for layer in model.layers for p in every_layer(layer)} == {"float64"}
    assert {v.dtype for v in model.weights} == {"float64"}
    # Whole pixels: Keras's inputs are float32 under this policy too.
    x = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float64")
    for training in (False, True):
        assert dtype_of(model(x, training=training)) == "float64"
    head = keras.Model(model.input, model.get_layer("preprocessing").output)
    np.testing.assert_allclose(head(x), (x - PRESET.mean) / PRESET.std, rtol=1e-14, atol=1e-13)


def test_policy_of_a_layer_is_kept_in_its_config_and_handed_down():
    layer = MBConvSE(3, dtype="mixed_bfloat16")
    again = MBConvSE.from_config(layer.get_config())
    again.build((1, 8, 8, 3))
    assert {part.compute_dtype for part in every_layer(again)} == {"bfloat16"}
