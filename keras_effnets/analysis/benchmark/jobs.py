"""What is timed: one call of a network, ours or another library's, in one engine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Job = Callable[[], object]

KERAS_NAMES = {"mobilenet_v1": "MobileNet"}
"""In keras.applications, of networks whose builder is called otherwise here."""


def forward(who: str, engine: str, name: str, pictures: Array, threads: int) -> Job:
    """A job that takes `pictures` to probabilities or logits, as NumPy arrays both.

    Args:
        who: "ours", "keras" or "torchvision".
        engine: Of ours "keras", "tensorflow", "litert", "onnxruntime" or "openvino"; of the
            others "compiled" or "eager".
        name: Of the network, ours.
        pictures: (B, side, side, 3), pixels 0-255.
        threads: To compute with.
    """
    if who == "ours":
        return _ours(engine, name, pictures, threads)
    if who == "keras":
        return _keras(name, pictures)
    return _torchvision(engine, name, pictures)


def training(who: str, name: str, pictures: Array) -> Job:
    """A job that makes one step of SGD on `pictures` and random classes.

    Args:
        who: As for `forward`.
        name: Of the network, ours.
        pictures: (B, side, side, 3), pixels 0-255.
    """
    targets = np.random.default_rng(1).integers(0, 1000, len(pictures))
    if who == "torchvision":
        return _torchvision_step(name, pictures, targets)
    import keras

    from keras_effnets.models.registry import create_model

    if who == "ours":
        model = create_model(name, weights=None, input_shape=pictures.shape[1:])
    else:
        model = keras_network(name, pictures.shape[1:])
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
        jit_compile=False,
    )
    return lambda: model.train_on_batch(pictures, targets)


def in_keras(name: str) -> str | None:
    """What keras.applications calls a network of ours; None where it has none."""
    import keras

    from keras_effnets.models.registry import model_info

    called = KERAS_NAMES.get(name, model_info(name).builder)
    return called if hasattr(keras.applications, called) else None


def keras_builder(name: str) -> Any:
    """The function of keras.applications that builds a network of ours."""
    import keras

    return getattr(keras.applications, str(in_keras(name)))


def keras_network(name: str, shape: tuple[int, ...]) -> Any:
    """keras.applications' network of that kind, random weights."""
    return keras_builder(name)(weights=None, input_shape=shape)


def _ours(engine: str, name: str, pictures: Array, threads: int) -> Job:
    from keras_effnets.models.registry import create_model
    from keras_effnets.prediction.engines import SUFFIXES, open_artifact, open_model
    from keras_effnets.prediction.export_cache import cached_export

    model = create_model(name, weights=None, input_shape=pictures.shape[1:])
    if engine in SUFFIXES:
        run = open_artifact(cached_export(model, engine, "float32"), engine, threads).run
    else:
        run = open_model(model, engine).run
    return lambda: np.asarray(run(pictures))


def _keras(name: str, pictures: Array) -> Job:
    import tensorflow as tf

    network = keras_network(name, pictures.shape[1:])
    # Scaling the pixels is the caller's part there, and part of our networks.
    module = sys.modules[keras_builder(name).__module__]

    @tf.function
    def run(x: Any) -> Any:
        return network(module.preprocess_input(x), training=False)

    return lambda: run(tf.constant(pictures)).numpy()


def _torchvision(engine: str, name: str, pictures: Array) -> Job:
    torch = importlib.import_module("torch")
    network = _torch_network(name).eval()
    if engine == "compiled":
        network = torch.compile(network)
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])

    def run() -> Array:
        with torch.inference_mode():
            x = (torch.from_numpy(pictures) - mean) / std
            # The picture's channels lie last already: no copy, and the layout that is the faster.
            outputs: Array = network(x.permute(0, 3, 1, 2)).numpy()
            return outputs

    return run


def _torchvision_step(name: str, pictures: Array, targets: NDArray[np.int64]) -> Job:
    torch = importlib.import_module("torch")
    network = _torch_network(name).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    y = torch.from_numpy(targets)

    def step() -> float:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(x / 255), y)
        loss.backward()
        optimizer.step()
        return float(loss)

    return step


def _torch_network(name: str) -> Any:
    torch = importlib.import_module("torch")
    models = importlib.import_module("torchvision").models
    return getattr(models, name)(weights=None).to(memory_format=torch.channels_last)


def pictures_of(batch: int, side: int) -> Array:
    """Noise, pixels 0-255."""
    shape = (batch, side, side, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
