"""One training step of a dense network, as numbers to compare: also a script for other backends.

Usage: dense_step.py, with the backend that KERAS_BACKEND names; prints the largest difference that
recomputing makes, as JSON.
"""

import json

import keras
import numpy as np

from keras_effnets.layers import DenseBlock, Transition, dense_block


def step(*, recompute: bool, bottleneck: bool = True, dtype: str = "float32", layers: int = 10):
    """Of two steps the loss, the gradients, and how statistics and seeds moved."""
    keras.utils.set_random_seed(0)
    options = {"recompute": recompute, "dropout_rate": 0.3, "dtype": dtype}
    inputs = keras.Input((6, 7, 3))
    # The gradients of the first came through the second.
    x = DenseBlock(1, 3, bottleneck=bottleneck, name="first", **options)(inputs)
    x = DenseBlock(layers, 3, bottleneck=bottleneck, name="second", **options)(x)
    x = Transition(5, name="transition", **options)(x)
    x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
    model = keras.Model(inputs, x)
    # A rate of 1 makes each step the gradient.
    model.compile(keras.optimizers.SGD(1.0), "mse", jit_compile=False)
    generator = np.random.default_rng(0)
    pictures = generator.normal(size=(4, 6, 7, 3)).astype("float32")
    targets = generator.normal(size=(4, 5)).astype("float32")
    found = {}
    for turn in ("first", "second"):
        before = numbers(model)
        found[f"{turn}/loss"] = np.asarray(model.train_on_batch(pictures, targets))
        after = numbers(model)
        found |= {f"{turn}/{path}": after[path] - before[path] for path in after}
    return found


def numbers(model: keras.Model) -> dict[str, np.ndarray]:
    """Weights, statistics and the states of the random numbers."""
    return {
        f"{number} {variable.path}": keras.ops.convert_to_numpy(variable).astype("float64")
        for number, variable in enumerate(model.variables)
        if not variable.path.startswith("optimizer")
    }


def differences(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> dict[str, float]:
    """Of each number to the other way's, over the largest of its kind."""
    assert len(first) == len(second)
    return {
        name: float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-3))
        for (name, a), b in zip(first.items(), second.values(), strict=True)
    }


if __name__ == "__main__":
    dense_block._MAX_SEPARATE = 2  # so that few layers, and little compiling, do
    found = differences(step(recompute=True, layers=3), step(recompute=False, layers=3))
    print(json.dumps({"backend": keras.backend.backend(), "worst": max(found.values())}))
