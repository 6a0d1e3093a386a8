"""Dropping whole branches: by sample, unbiased, and only where something trains."""

import keras
import numpy as np
import pytest

from keras_effnets.layers import InvertedResidual, StochasticDepth


def x(batch=64):
    return np.random.default_rng(0).uniform(0.5, 1, (batch, 3, 4, 2)).astype("float32")


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.9])
def test_each_sample_is_kept_and_scaled_or_wholly_zero(rate):
    inputs = x()
    ratio = np.asarray(StochasticDepth(rate, seed=1)(inputs, training=True)) / inputs
    samples = ratio.reshape(len(inputs), -1)
    kept = samples[:, 0] != 0
    assert 0 < kept.sum() < len(inputs)
    np.testing.assert_array_equal(samples[~kept], 0)
    np.testing.assert_allclose(samples[kept], 1 / (1 - rate), rtol=1e-5)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_mean_over_many_draws_is_the_input(rate):
    draws = 40_000
    outputs = np.asarray(
        StochasticDepth(rate, seed=2)(np.ones((draws, 1), "float32"), training=True)
    )
    # One draw has variance rate / (1 - rate); five deviations of their mean.
    bound = 5 * np.sqrt(rate / (1 - rate) / draws)
    assert abs(outputs.mean() - 1) < bound


@pytest.mark.parametrize("shape", [(8, 2), (8, 5, 2), (8, 3, 3, 2)])
def test_any_rank_is_taken(shape):
    outputs = StochasticDepth(0.5, seed=1)(np.ones(shape, "float32"), training=True)
    assert tuple(outputs.shape) == shape


@pytest.mark.parametrize("training", [False, None])
def test_identity_at_inference(training):
    np.testing.assert_array_equal(StochasticDepth(0.9)(x(), training=training), x())


def test_identity_at_rate_zero():
    np.testing.assert_array_equal(StochasticDepth(0.0)(x(), training=True), x())


def test_identity_when_frozen():
    layer = StochasticDepth(0.9, seed=1)
    assert not np.array_equal(layer(x(), training=True), x())
    layer.trainable = False
    np.testing.assert_array_equal(layer(x(), training=True), x())


def test_same_seed_draws_the_same_and_goes_on_drawing():
    a, b, c = (StochasticDepth(0.5, seed=seed) for seed in (7, 7, 8))
    first = np.asarray(a(x(), training=True))
    np.testing.assert_array_equal(b(x(), training=True), first)
    assert not np.array_equal(c(x(), training=True), first)
    assert not np.array_equal(a(x(), training=True), first)


def test_keras_seed_governs_layers_without_one():
    draws = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        draws.append(np.asarray(StochasticDepth(0.5)(x(), training=True)))
    np.testing.assert_array_equal(*draws)


def block(**options):
    layer = InvertedResidual(2, drop_path=0.9, **options)
    layer.build((None, 3, 4, 2))
    return layer


def test_block_drops_its_branch_while_training():
    layer = block()
    layer.project.norm.beta.assign(np.full(2, 10.0))
    added = np.asarray(layer(x(), training=True)) - x()
    samples = np.abs(added).reshape(len(added), -1).max(axis=1)
    assert 0 < (samples == 0).sum() < len(samples)


@pytest.mark.parametrize("when", ["before", "after", "reloaded"])
def test_frozen_block_drops_nothing(when):
    layer = block(trainable=when == "after")
    if when == "after":
        layer.trainable = False
    if when == "reloaded":
        layer = InvertedResidual.from_config(layer.get_config())
        layer.build((None, 3, 4, 2))
    assert layer.branch_drop.rate == 0.9
    outputs = np.asarray(layer(x(), training=True))
    np.testing.assert_array_equal(outputs, layer(x(), training=False))


def test_no_branch_drop_where_there_is_no_skip():
    layer = InvertedResidual(2, strides=2, drop_path=0.9)
    layer.build((None, 3, 4, 2))
    assert not hasattr(layer, "branch_drop")
