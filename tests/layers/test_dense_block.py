"""Dense blocks: order of the features, and recomputing that changes no number."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dense_step
import keras
import numpy as np
import pytest

from keras_effnets.layers import DenseBlock, NormActConv, Transition


@pytest.mark.parametrize("recompute", [False, True])
def test_old_features_come_first_and_every_layer_sees_all(recompute):
    block = DenseBlock(10, 2, recompute=recompute, name="block")
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    y = np.asarray(block(x, training=True))
    assert y.shape == (2, 4, 5, 23)
    np.testing.assert_array_equal(y[..., :3], x)
    for index in range(10):
        layer = getattr(block, f"layer{index}")
        seen = 3 + 2 * index
        assert layer.conv1.conv.kernel.shape == (1, 1, seen, 8)
        expected = layer(y[..., :seen], training=True)
        np.testing.assert_allclose(y[..., seen : seen + 2], expected, atol=1e-5)


@pytest.mark.parametrize("bottleneck", [False, True])
def test_recomputing_changes_no_number(bottleneck):
    """Outputs (the loss), gradients, statistics and draws, over two steps."""
    plain, efficient = (
        dense_step.step(recompute=recompute, bottleneck=bottleneck) for recompute in (False, True)
    )
    found = dense_step.differences(efficient, plain)
    assert max(found.values()) <= 1e-5, found
    moved = [name for name, change in plain.items() if "moving" in name and change.any()]
    assert len(moved) == 4 * (12 + 11 * bottleneck)
    seeds = [name for name in plain if "seed" in name]
    assert len(seeds) == 2 * (12 + 11 * bottleneck)
    assert all(plain[name].any() for name in seeds)


def test_recomputing_in_half_precision():
    plain, efficient = (
        dense_step.step(recompute=recompute, dtype="mixed_bfloat16", layers=2)
        for recompute in (False, True)
    )
    # Sums of gradients are in another order, and bfloat16 has eight bits.
    assert max(dense_step.differences(efficient, plain).values()) <= 0.1


@pytest.mark.full
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_recomputing_on_another_backend(backend):
    pytest.importorskip(backend, reason="the other backends are in the test extra")
    process = subprocess.run(
        [sys.executable, Path(dense_step.__file__)],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    answer = json.loads(process.stdout.splitlines()[-1])
    assert answer["backend"] == backend
    assert answer["worst"] <= 1e-5


@pytest.mark.parametrize(("recompute", "runs"), [(False, 1), (True, 2)])
def test_a_gradient_computes_the_norm_again(recompute, runs, monkeypatch):
    import tensorflow as tf

    unit = NormActConv(3, 1, recompute=recompute)
    x = tf.random.normal((2, 4, 4, 5))
    unit(x)
    calls = []
    original = unit.norm.call
    monkeypatch.setattr(unit.norm, "call", lambda *a, **k: calls.append(1) or original(*a, **k))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(unit(x, training=True) ** 2)
    assert len(calls) == 1
    tape.gradient(loss, unit.trainable_variables)
    assert len(calls) == runs
    calls.clear()
    unit(x, training=False)
    assert len(calls) == 1


def test_a_frozen_unit_recomputes_and_moves_nothing():
    unit = NormActConv(3, 1, recompute=True, dropout_rate=0.5, dtype="mixed_bfloat16")
    x = keras.random.normal((2, 4, 4, 5))
    unit(x)
    unit.trainable = False
    before = unit.get_weights()
    first, second = (np.asarray(unit(x, training=True), "float32") for _ in range(2))
    np.testing.assert_array_equal(first, second)
    for old, new in zip(before, unit.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_transition_drops_the_last_row_of_an_odd_side():
    layer = Transition(4)
    x = np.random.default_rng(0).normal(size=(1, 5, 6, 3)).astype("float32")
    y = np.asarray(layer(x))
    assert y.shape == (1, 2, 3, 4)
    np.testing.assert_allclose(layer(x[:, :4]), y, rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "options", "message"),
    [
        (DenseBlock, {"repeats": 0, "growth_rate": 3}, "repeats=0 and growth_rate=3"),
        (DenseBlock, {"repeats": 2, "growth_rate": 0}, "repeats=2 and growth_rate=0"),
        (DenseBlock, {"repeats": 2, "growth_rate": 3, "dropout_rate": 1.0}, "dropout_rate=1.0"),
        (NormActConv, {"filters": 3, "kernel_size": 2}, "kernel_size=2"),
        (NormActConv, {"filters": 3, "dropout_rate": -0.1}, "dropout_rate=-0.1"),
        (Transition, {"filters": 3, "dropout_rate": 1.0}, "dropout_rate=1.0"),
    ],
)
def test_bad_argument_is_named(layer, options, message):
    with pytest.raises(ValueError, match=message):
        layer(**options)
