"""What a `Predictor` runs: a session, and what the model says of its pictures and classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.export.artifact import Artifact, beside
from keras_effnets.export.frozen_graph import freeze_graph
from keras_effnets.export.runtimes import LiteRT, OnnxRuntime, OpenVINO, Session
from keras_effnets.images.preprocessing import preprocess_input
from keras_effnets.images.preset import Preset
from keras_effnets.prediction.evaluation import model_labels, model_preset

Array = NDArray[np.float32]

SUFFIXES = {"litert": ".tflite", "onnxruntime": ".onnx", "openvino": ".xml"}
"""Of an artifact's file, by the engine that runs it."""


@dataclass(frozen=True, slots=True)
class Network:
    """A model that is ready to run.

    Attributes:
        run: From (B, H, W, 3), as the model takes it, to (B, classes).
        preset: How it wants its pictures.
        prepare: From pixels 0-255 to what the model takes.
        labels: The classes' names; None where the model has none.
        logits: Whether a softmax is missing.
        engine: What runs it.
        precision: Of its arithmetic.
    """

    run: Callable[[Array], Any]
    preset: Preset
    prepare: Callable[[Array], Array]
    labels: tuple[str, ...] | None
    logits: bool
    engine: str
    precision: str


def is_artifact(path: Path) -> bool:
    """Whether a path's name says that it was exported."""
    return path.suffix.lower() in SUFFIXES.values() or path.is_dir()


def open_artifact(path: Path, engine: str, threads: int | None) -> Network:
    """Opens an exported model with its description.

    Raises:
        FileNotFoundError: If it or its description is not there.
        ValueError: If another engine is asked for than runs it, or it says too little.
        ImportError: If the engine is not installed.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such file")
    if path.is_dir():
        return _saved_model(path, engine)
    runs = next(name for name, suffix in SUFFIXES.items() if path.suffix.lower() == suffix)
    _agree(path, engine, runs)
    described = Artifact.read(beside(path))
    sessions: dict[str, Callable[[], Session]] = {
        "litert": lambda: LiteRT(path, threads),
        "onnxruntime": lambda: OnnxRuntime(path, threads),
        "openvino": lambda: OpenVINO(path, threads, described.precision),
    }
    return _described(path, described, sessions[runs]().scores, runs)


def _saved_model(path: Path, engine: str) -> Network:
    """A SavedModel of ours: a version's folder, or the folder of versions, whose last it is."""
    import tensorflow as tf

    from keras_effnets.export.serving.saved_model import DESCRIPTION

    _agree(path, engine, "tensorflow")
    versions = sorted(int(each.name) for each in path.iterdir() if each.name.isdecimal())
    folder = path / str(versions[-1]) if versions else path
    described = Artifact.read(folder / "assets.extra" / DESCRIPTION)
    loaded = tf.saved_model.load(str(folder))
    served = loaded.signatures["serving_default"]
    (_, taken) = served.structured_input_signature
    dtype = taken["images"].dtype

    def run(batch: Array, _keep: Any = loaded) -> Any:  # the signature alone keeps no constants
        return served(images=tf.constant(batch.astype(dtype.as_numpy_dtype)))[
            "probabilities"
        ].numpy()

    network = _described(path, described, run, "tensorflow")
    return Network(
        run,
        network.preset,
        network.prepare,
        network.labels,
        False,  # it has its softmax inside
        "tensorflow",
        described.precision,
    )


def _agree(path: Path, engine: str, runs: str) -> None:
    if engine not in ("auto", runs):
        raise ValueError(f"engine={engine!r}: {path} is run by {runs!r}")


def _described(
    path: Path, described: Artifact, run: Callable[[Array], Any], engine: str
) -> Network:
    preset = described.preset
    if preset is None or described.input_shape[-1] != 3:
        raise ValueError(
            f"{path}: its description holds no preset for RGB pictures: export a model that has a "
            "layer named 'preprocessing', as the builders of this package make"
        )

    def prepare(pixels: Array) -> Array:
        if described.normalizes:
            return pixels
        mean, std = (np.asarray(each, np.float32) for each in (preset.mean, preset.std))
        return (pixels - mean) / std

    return Network(
        run, preset, prepare, described.labels, described.logits, engine, described.precision
    )


def live(model: keras.Model, engine: str) -> Network:
    """The model itself, by Keras or as one TensorFlow graph; nothing is exported.

    Args:
        model: A classifier of RGB pictures with a preset.
        engine: "keras" or "tensorflow".

    Raises:
        ValueError: For another model, or for "tensorflow" on another backend.
    """
    preset = model_preset(model)
    last = next((layer for layer in model.layers if layer.name == "classifier"), None)
    logits = last is not None and getattr(last, "activation", "") in (None, "linear")
    labels = model_labels(model)
    return Network(
        model.predict_on_batch if engine == "keras" else _graph(model),
        preset,
        lambda pixels: preprocess_input(pixels, model),
        None if labels is None else tuple(labels),
        logits,
        engine,
        "float32",
    )


def _graph(model: keras.Model) -> Callable[[Array], Any]:
    from keras_effnets.models.surgery import fold_batch_norm

    function = freeze_graph(fold_batch_norm(model)).function

    def run(batch: Array) -> Any:
        import tensorflow as tf

        return function(tf.constant(batch))[0].numpy()

    return run
