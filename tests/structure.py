"""What every network must do, whatever it is: called by each family's tests on shrunken ones."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import numpy as np

from keras_effnets.analysis.multiply_adds import multiply_adds
from keras_effnets.layers import nested_layers
from keras_effnets.models.registry import get_builder, model_info
from keras_effnets.plan.deferred import count_parameters, sketch, variables_by_path


def pictures(model: keras.Model, batch: int = 4, side: int | None = None) -> np.ndarray:
    """Noise in the size that the model takes, pixels 0-255."""
    height, width, channels = model.input_shape[1:]
    shape = (batch, side or height, side or width, channels)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def assert_sheet(name: str, parameters: int, megas: float, **options: object) -> None:
    """Trainable parameters to the last, and multiply-adds in millions within 0.5 %.

    What a name gives without options is in the table that `test_counts` checks against networks.
    """
    if options:
        model = sketch(partial(get_builder(name), weights=None, **options))
        shapes = {path: tuple(v.shape) for path, v in variables_by_path(model).items()}
        counted, operations = count_parameters(shapes), multiply_adds(model)
    else:
        info = model_info(name)
        counted, operations = info.parameters, info.multiply_adds
    assert counted == parameters
    assert abs(operations / 1e6 - megas) <= 0.005 * megas, f"{name}: {operations:,} multiply-adds"


def assert_shape(model: keras.Model, classes: int = 10) -> None:
    """Probabilities of the classes, all announced shapes met, layers named as in the design."""
    x = pictures(model)
    outputs = np.asarray(model(x, training=False))
    assert outputs.shape == (len(x), classes)
    np.testing.assert_allclose(outputs.sum(-1), 1, rtol=1e-5)
    names = [layer.name for layer in model.layers if layer.weights or "preproc" in layer.name]
    assert names[0] == "preprocessing"
    assert names[-1] == "classifier"
    tapped = keras.Model(model.input, [layer.output for layer in model.layers[1:]])
    for layer, value in zip(model.layers[1:], tapped(x, training=False), strict=True):
        assert tuple(value.shape[1:]) == tuple(layer.output.shape[1:]), layer.name


def assert_saves(model: keras.Model, folder: Path) -> None:
    """Saved by Keras and loaded again, it answers to the last bit as before."""
    x = pictures(model)
    expected = np.asarray(model(x, training=False))
    model.save(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras")
    np.testing.assert_array_equal(again(x, training=False), expected)
    model.save_weights(folder / "model.weights.h5")
    again.load_weights(folder / "model.weights.h5")
    np.testing.assert_array_equal(again(x, training=False), expected)


def assert_trains(model: keras.Model, steps: int = 20, rate: float = 1e-3) -> None:
    """The loss falls over `steps`; every trainable weight gets a finite gradient, not all zero.

    Gradients are those of the first step, but for weights that a zero elsewhere hides then.
    """
    import tensorflow as tf

    x = pictures(model, batch=8)
    y = np.arange(len(x)) % model.output_shape[-1]
    loss_of = keras.losses.SparseCategoricalCrossentropy()
    variables = model.trainable_variables

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        gradients = tape.gradient(loss, variables)
        for variable, gradient in zip(variables, gradients, strict=True):
            assert gradient is not None, f"{variable.path} has no gradient"
        return loss, gradients

    # Adam, on the values: its operations in the graph would take longer to trace than the network.
    values = [variable.numpy() for variable in variables]
    means = [np.zeros_like(value) for value in values]
    squares = [np.zeros_like(value) for value in values]
    losses, alive = [], set()
    for number in range(1, steps + 1):
        loss, gradients = step()
        losses.append(float(loss))
        for variable, value, mean, square, found in zip(
            variables, values, means, squares, gradients, strict=True
        ):
            gradient = found.numpy()
            assert np.isfinite(gradient).all(), variable.path
            if gradient.any():
                alive.add(variable.path)
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient**2 - square)
            root = np.sqrt(square / (1 - 0.999**number)) + 1e-7
            value -= rate * mean / (1 - 0.9**number) / root
            variable.assign(value)
    assert alive == {variable.path for variable in variables}
    assert losses[-1] < losses[0], losses


def assert_feature_sides(
    build: Callable[..., keras.Model], output_strides: tuple[int, ...], side: int = 64
) -> None:
    """Without top the features are `side / output_stride` wide."""
    for stride in output_strides:
        model = build(include_top=False, output_stride=stride, input_shape=(side, side, 3))
        assert model.output_shape[1:3] == (side // stride, side // stride)


def assert_open_sides(build: Callable[..., keras.Model], side: int = 65) -> None:
    """With sides left open an odd picture gives what a network of that size gives."""
    fixed = build(include_top=False, input_shape=(side, side, 3))
    free = build(include_top=False, input_shape=(None, None, 3))
    free.set_weights(fixed.get_weights())
    x = pictures(fixed)
    expected = np.asarray(fixed(x, training=False))
    found = np.asarray(free(x, training=False))
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def assert_frozen_stays(model: keras.Model) -> None:
    """A frozen model draws nothing and moves nothing, though called in training mode."""
    model.trainable = False
    before = model.get_weights()
    x = pictures(model)
    first, second = (np.asarray(model(x, training=True)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    kept = [w for layer in nested_layers(model) for w in layer.weights if "seed" not in w.path]
    assert kept
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
