"""The calls that a benchmark times: a network's forward pass or training step in one engine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

KERAS_NAMES = {"mobilenet_v1": "MobileNet"}
"""Names in keras.applications that differ from our builder's."""


def forward(
    who: str, engine: str, name: str, images: NDArray[np.float32], threads: int
) -> Callable[[], object]:
    """Returns a function that computes the probabilities or logits of `images`, all in NumPy.

    Args:
        who: "ours", "keras" or "torchvision".
        engine: "keras", "tensorflow", "litert", "onnxruntime" or "openvino" for our networks;
            "compiled" or "eager" for the other libraries.
        name: Our name of the network.
        images: (B, side, side, 3), pixels 0-255.
        threads: Number of threads to compute with.
    """
    if who == "ours":
        return _ours(engine, name, images, threads)
    if who == "keras":
        return _keras(name, images)
    return _torchvision(engine, name, images)


def training(who: str, name: str, images: NDArray[np.float32]) -> Callable[[], object]:
    """Returns a function that takes one step of SGD on `images` and random classes.

    Args:
        who: "ours", "keras" or "torchvision".
        name: Our name of the network.
        images: (B, side, side, 3), pixels 0-255.
    """
    targets = np.random.default_rng(1).integers(0, 1000, len(images))
    if who == "torchvision":
        return _torchvision_step(name, images, targets)
    import keras

    from keras_effnets.models.registry import get_builder

    builder = get_builder(name) if who == "ours" else keras_builder(name)
    model = builder(weights=None, input_shape=images.shape[1:])
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
        jit_compile=False,
    )
    return lambda: model.train_on_batch(images, targets)


def keras_builder(name: str) -> Any:
    """The function of keras.applications that builds one of our networks; None if it has none."""
    import keras

    from keras_effnets.models.registry import model_info

    return getattr(keras.applications, KERAS_NAMES.get(name, model_info(name).builder), None)


def _ours(
    engine: str, name: str, images: NDArray[np.float32], threads: int
) -> Callable[[], object]:
    from keras_effnets.models.registry import create_model
    from keras_effnets.prediction.engines import SUFFIXES, open_artifact, open_model
    from keras_effnets.prediction.export_cache import cached_export

    model = create_model(name, weights=None, input_shape=images.shape[1:])
    if engine in SUFFIXES:
        run = open_artifact(cached_export(model, engine, "float32"), engine, threads).run
    else:
        run = open_model(model, engine).run
    return lambda: np.asarray(run(images))


def _keras(name: str, images: NDArray[np.float32]) -> Callable[[], object]:
    import tensorflow as tf

    builder = keras_builder(name)
    network = builder(weights=None, input_shape=images.shape[1:])
    # In keras.applications the caller scales the pixels; our networks do it themselves.
    module = sys.modules[builder.__module__]

    @tf.function
    def run(x: Any) -> Any:
        return network(module.preprocess_input(x), training=False)

    return lambda: run(tf.constant(images)).numpy()


def _torchvision(engine: str, name: str, images: NDArray[np.float32]) -> Callable[[], object]:
    torch = importlib.import_module("torch")
    network = _torch_network(name).eval()
    if engine == "compiled":
        network = torch.compile(network)
    mean = torch.tensor([123.675, 116.28, 103.53])
    std = torch.tensor([58.395, 57.12, 57.375])

    def run() -> object:
        with torch.inference_mode():
            x = (torch.from_numpy(images) - mean) / std
            # The images are channels-last already: no copy, and the faster memory format.
            return network(x.permute(0, 3, 1, 2)).numpy()

    return run


def _torchvision_step(
    name: str, images: NDArray[np.float32], targets: NDArray[np.int64]
) -> Callable[[], object]:
    torch = importlib.import_module("torch")
    network = _torch_network(name).train()
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
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


def random_images(batch: int, side: int) -> NDArray[np.float32]:
    """Uniform noise, (batch, side, side, 3), pixels 0-255."""
    shape = (batch, side, side, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype(np.float32)
