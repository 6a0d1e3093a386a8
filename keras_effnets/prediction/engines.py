"""Opens a live model or an exported file to run, with its preset and class names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from keras_effnets.export.artifact import Artifact, beside
from keras_effnets.export.frozen_graph import freeze_graph
from keras_effnets.export.runtimes import LiteRT, OnnxRuntime, OpenVINO, Session
from keras_effnets.images.model_interface import (
    classifier_layer,
    gives_logits,
    model_labels,
    model_preset,
)
from keras_effnets.images.preprocessing import normalized, preprocess_input
from keras_effnets.images.preset import Preset

SUFFIXES = {"litert": ".tflite", "onnxruntime": ".onnx", "openvino": ".xml"}
"""The suffix of an exported file, by the engine that runs it."""


@dataclass(frozen=True, slots=True)
class RunnableModel:
    """A model that is ready to run.

    Attributes:
        run: Takes (B, H, W, 3) as returned by `prepare`, returns (B, classes).
        preset: How images are prepared for the model.
        prepare: Turns pixels 0-255 into the model's input.
        labels: The class names; None if the model has none.
        logits: Whether `run` returns logits.
        engine: The engine that runs the model.
        precision: The precision of its arithmetic.
    """

    run: Callable[[NDArray[Any]], Any]
    preset: Preset
    prepare: Callable[[NDArray[Any]], NDArray[Any]]
    labels: tuple[str, ...] | None
    logits: bool
    engine: str
    precision: str


def is_artifact(path: Path) -> bool:
    """Whether a path is, by its name, an exported model."""
    return path.suffix.lower() in SUFFIXES.values() or path.is_dir()


def open_artifact(path: Path, engine: str, threads: int | None) -> RunnableModel:
    """Opens an exported model with its description.

    Raises:
        FileNotFoundError: The model or its description does not exist.
        ValueError: Another engine runs this format, or the description holds no preset.
        ImportError: The engine is not installed.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.is_dir():
        return _open_saved_model(path, engine)
    runs = next(name for name, suffix in SUFFIXES.items() if path.suffix.lower() == suffix)
    _check_engine(path, engine, runs)
    artifact = Artifact.read(beside(path))
    sessions: dict[str, Callable[[], Session]] = {
        "litert": lambda: LiteRT(path, threads),
        "onnxruntime": lambda: OnnxRuntime(path, threads),
        "openvino": lambda: OpenVINO(path, threads, artifact.precision),
    }
    return _runnable(path, artifact, sessions[runs]().scores, runs)


def _open_saved_model(path: Path, engine: str) -> RunnableModel:
    """Opens a version's folder, or the latest version in a folder of versions."""
    import tensorflow as tf

    from keras_effnets.export.serving.saved_model import DESCRIPTION

    _check_engine(path, engine, "tensorflow")
    versions = sorted(int(each.name) for each in path.iterdir() if each.name.isdecimal())
    folder = path / str(versions[-1]) if versions else path
    artifact = Artifact.read(folder / "assets.extra" / DESCRIPTION)
    loaded = tf.saved_model.load(str(folder))
    served = loaded.signatures["serving_default"]
    _, inputs = served.structured_input_signature
    dtype = inputs["images"].dtype.as_numpy_dtype

    # The signature alone does not keep its constants alive.
    def run(batch: NDArray[Any], _keep: Any = loaded) -> Any:
        return served(images=tf.constant(batch.astype(dtype)))["probabilities"].numpy()

    # The served graph ends in a softmax.
    return replace(_runnable(path, artifact, run, "tensorflow"), logits=False)


def _check_engine(path: Path, engine: str, runs: str) -> None:
    if engine not in ("auto", runs):
        raise ValueError(f"engine={engine!r}: {path} runs only on {runs!r}")


def _runnable(
    path: Path, artifact: Artifact, run: Callable[[NDArray[Any]], Any], engine: str
) -> RunnableModel:
    preset = artifact.preset
    if preset is None or artifact.input_shape[-1] != 3:
        raise ValueError(
            f"{path}: its description holds no preset for RGB images: export a model that has a "
            "layer named 'preprocessing', as the builders of this package make"
        )

    def prepare(pixels: NDArray[Any]) -> NDArray[Any]:
        return pixels if artifact.normalizes else normalized(pixels, preset)

    return RunnableModel(
        run, preset, prepare, artifact.labels, artifact.logits, engine, artifact.precision
    )


def open_model(model: keras.Model, engine: str) -> RunnableModel:
    """Runs a live model by Keras, or as one TensorFlow graph; nothing is exported.

    Args:
        model: A classifier of RGB images with a preset.
        engine: "keras" or "tensorflow".

    Raises:
        ValueError: Another kind of model, or "tensorflow" on another backend.
    """
    preset, labels = model_preset(model), model_labels(model)
    return RunnableModel(
        run=model.predict_on_batch if engine == "keras" else _graph(model),
        preset=preset,
        prepare=lambda pixels: preprocess_input(pixels, model),
        labels=None if labels is None else tuple(labels),
        logits=gives_logits(classifier_layer(model)),
        engine=engine,
        precision="float32",
    )


def _graph(model: keras.Model) -> Callable[[NDArray[Any]], Any]:
    import tensorflow as tf

    from keras_effnets.models.surgery import fold_batch_norm

    function = freeze_graph(fold_batch_norm(model)).function
    return lambda batch: function(tf.constant(batch))[0].numpy()
