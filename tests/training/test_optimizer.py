"""`LayerwiseAdamW` against Keras's AdamW with each variable's rate, on every backend."""

import json
import os
import subprocess
import sys

import fresh_processes
import keras
import numpy as np
import pytest
import small_networks
import structure

from keras_effnets import LayerwiseAdamW, layer_decay


@pytest.fixture(autouse=True)
def seeded():
    """Random weights are the same in every run."""
    keras.utils.set_random_seed(1)


AGAINST_KERAS = """
import keras, numpy as np
import keras_effnets

def trained(optimizer, steps=4, names=("a", "b", "c")):
    shape = (5, 3)
    draw = np.random.default_rng(0)
    starts = {name: draw.normal(size=shape).astype("float32") for name in "abc"}
    variables = [keras.Variable(starts[name], name=name) for name in names]
    gradients = [{name: draw.normal(size=shape).astype("float32") for name in "abc"}
                 for _ in range(steps)]
    for step in gradients:
        tensors = [keras.ops.convert_to_tensor(step[name]) for name in names]
        optimizer.apply(tensors, variables)
    optimizer.finalize_variable_values(variables)
    return dict(zip(names, map(keras.ops.convert_to_numpy, variables)))

FACTORS = {"a": 1.0, "b": 0.5, "c": 0.0}
schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
for options in (
    {},
    {"use_ema": True, "ema_momentum": 0.5},
    {"clipnorm": 0.1, "amsgrad": True},
    {"gradient_accumulation_steps": 2},
):
    options = {"weight_decay": 0.1, **options}
    ours = trained(keras_effnets.LayerwiseAdamW(0.1, factors=FACTORS, **options))
    plain = trained(keras.optimizers.AdamW(0.1, **options))
    for name, factor in FACTORS.items():
        theirs = trained(keras.optimizers.AdamW(0.1 * factor, **options), names=name)[name]
        assert np.abs(ours[name] - theirs).max() <= 1e-6, (options, name)
        assert (np.abs(ours[name] - plain[name]).max() > 1e-2) == (factor != 1), (options, name)
ours = trained(keras_effnets.LayerwiseAdamW(schedule, factors={"a": 1.0}, weight_decay=0.1))
theirs = trained(keras.optimizers.AdamW(schedule, weight_decay=0.1))
assert all(np.abs(ours[name] - theirs[name]).max() <= 1e-6 for name in ours)
optimizer = keras_effnets.LayerwiseAdamW(0.1, factors=FACTORS, weight_decay=0.5)
optimizer.exclude_from_weight_decay(var_names=["a"])
excluded = trained(optimizer)
everywhere = trained(keras_effnets.LayerwiseAdamW(0.1, factors=FACTORS, weight_decay=0.5))
assert not np.allclose(excluded["a"], everywhere["a"])
assert np.array_equal(excluded["b"], everywhere["b"])

model = keras_effnets.NiNCIFAR(
    widths=((8,), (8,), (8,)), dropout=0.0, input_shape=(9, 9, 3), weights=None, classes=3
)
factors = {path: factor if path.startswith(("mlpconv3", "classifier")) else 0.0
           for path, factor in keras_effnets.layer_decay(model, 0.5).items()}
before = {v.path: keras.ops.convert_to_numpy(v) for v in model.trainable_variables}
x = np.random.default_rng(0).uniform(0, 255, (4, 9, 9, 3)).astype("float32")
model.compile(keras_effnets.LayerwiseAdamW(0.01, factors=factors, weight_decay=0.1),
              "sparse_categorical_crossentropy", jit_compile=False)
history = model.fit(x, np.arange(4) % 3, batch_size=2, verbose=0)
assert np.isfinite(history.history["loss"]).all()
for v in model.trainable_variables:
    still = np.array_equal(keras.ops.convert_to_numpy(v), before[v.path])
    assert still != v.path.startswith(("mlpconv3", "classifier")), v.path
print("agreed on", keras.backend.backend())
"""


@pytest.mark.parametrize(
    "backend", ["tensorflow", pytest.param("jax", marks=pytest.mark.full), "torch"]
)
def test_each_variable_moves_as_under_keras_adamw_with_its_own_rate(backend):
    if backend == "tensorflow":
        result = fresh_processes.run(AGAINST_KERAS)
    else:
        environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
        result = subprocess.run(
            [sys.executable, "-c", AGAINST_KERAS], capture_output=True, text=True, env=environment
        )
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.endswith(f"agreed on {backend}\n")


DISTRIBUTED = """
import keras, numpy as np, tensorflow as tf
import keras_effnets
cpu, = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
x = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
FACTORS = {"net/first/kernel": 0.25, "net/first/bias": 0.25}

def dense(units, seed, name):
    kernel = keras.initializers.Orthogonal(seed=seed)
    return keras.layers.Dense(units, name=name, kernel_initializer=kernel)

def trained(strategy, factors, wrap=lambda optimizer: optimizer):
    with strategy.scope():
        layers = [keras.Input((6,)), dense(5, 1, "first"), dense(2, 2, "last")]
        model = keras.Sequential(layers, name="net")
        optimizer = keras_effnets.LayerwiseAdamW(
            0.01, factors=factors, weight_decay=0.1, use_ema=True, ema_momentum=0.5
        )
        model.compile(wrap(optimizer), "mse", jit_compile=False)
    model.fit(x, np.ones((8, 2)), batch_size=8, epochs=3, shuffle=False, verbose=0)
    return model

one, mirrored = tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert mirrored.num_replicas_in_sync == 2
expected, plain = trained(one, FACTORS).get_weights(), trained(one, {}).get_weights()
assert np.abs(expected[0] - plain[0]).max() > 1e-2
scaling = lambda optimizer: keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0)
for other in (trained(mirrored, FACTORS), trained(one, FACTORS, scaling)):
    for found, value in zip(other.get_weights(), expected, strict=True):
        assert np.abs(found - value).max() <= 1e-6
keras.config.set_dtype_policy("mixed_float16")
for strategy in (one, mirrored):
    mixed = trained(strategy, FACTORS)
    assert type(mixed.optimizer).__name__ == "LossScaleOptimizer"
    for found, value in zip(mixed.get_weights(), expected, strict=True):
        assert np.abs(found - value).max() <= 5e-3
print("agreed")
"""


def test_replicas_and_loss_scaling_change_nothing():
    result = fresh_processes.run(DISTRIBUTED)
    assert result.returncode == 0, result.stderr[-3000:]
    assert result.stdout.endswith("agreed\n")


def test_each_block_has_the_decay_of_the_one_behind_it():
    model = small_networks.small("mobilenet_v1")
    factors = layer_decay(model, 0.5)
    assert set(factors) == {weight.path for weight in model.weights}
    by_layer = {path.split("/")[0]: factor for path, factor in factors.items()}
    names = [layer.name for layer in model.layers if layer.weights]
    assert by_layer == {name: 0.5**i for i, name in enumerate(reversed(names))}
    assert names[-1] == "classifier"
    assert set(layer_decay(model, 1).values()) == {1.0}
    heads = layer_decay(small_networks.small("googlenet", aux_heads=True), 0.5)
    assert {heads[path] for path in heads if path.startswith("aux")} == {1.0}


def test_factors_are_saved_with_the_model_and_training_goes_on_the_same(tmp_path):
    model = small_networks.small("nin_cifar", dropout=0.0)
    factors = layer_decay(model)
    optimizer = LayerwiseAdamW(0.01, factors=factors, weight_decay=0.1)
    again = keras.optimizers.deserialize(
        json.loads(json.dumps(keras.optimizers.serialize(optimizer)))
    )
    assert type(again) is LayerwiseAdamW
    assert again.factors == factors
    assert again.weight_decay == 0.1
    model.compile(optimizer, "sparse_categorical_crossentropy", run_eagerly=True)
    x, y = structure.pictures(model, batch=2), np.arange(2)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.optimizer.factors == factors
    for each in (model, loaded):
        each.fit(x, y, verbose=0)
    for one, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("decay", [0, -1, 1.5, float("nan")])
def test_bad_decay(decay):
    with pytest.raises(ValueError, match=r"decay=.* is not a number in \(0, 1\]"):
        layer_decay(small_networks.small("mobilenet_v1"), decay)


@pytest.mark.parametrize("factor", [-1, float("nan"), float("inf")])
def test_bad_factor(factor):
    with pytest.raises(ValueError, match=r"factors\['a'\]=.*: expected a number of 0 or more"):
        LayerwiseAdamW(factors={"a": factor})


def test_factors_of_another_model_are_refused():
    optimizer = LayerwiseAdamW(factors=layer_decay(small_networks.small("mobilenet_v1")))
    theirs = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="theirs")])
    with pytest.raises(
        ValueError, match=r"none is for .*theirs/kernel'.* another model's, such as 'stem/"
    ):
        optimizer.build(theirs.trainable_variables)
    LayerwiseAdamW().build(theirs.trainable_variables)
