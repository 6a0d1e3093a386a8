"""A live model exported for an engine, once: kept in the cache by what is in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_effnets.export.calibration import Pictures
from keras_effnets.export.litert import export_litert
from keras_effnets.export.onnx import export_onnx
from keras_effnets.export.openvino import export_openvino
from keras_effnets.export.runtimes import version
from keras_effnets.prediction.engines import SUFFIXES
from keras_effnets.version import VERSION
from keras_effnets.weights import cache

EXPORTS = "exports"
PRECISIONS = {
    "keras": ("float32",),
    "tensorflow": ("float32",),
    "onnxruntime": ("float32",),
    "litert": ("float32", "float16", "dynamic", "int8"),
    "openvino": ("float32", "bfloat16", "int8"),
}
"""That an engine computes a live model in."""


def exported(
    model: keras.Model, engine: str, precision: str, calibration: Pictures | None = None
) -> Path:
    """The path of a model's artifact in the cache, which is made where it is not there.

    Args:
        model: To export.
        engine: One of `network.SUFFIXES`.
        precision: One of its `PRECISIONS`.
        calibration: Of int8.
    """
    make: dict[str, Callable[[Path], Any]] = {
        "litert": lambda path: export_litert(
            model,
            path,
            None if precision == "float32" else precision,
            calibration=calibration,
        ),
        "onnxruntime": lambda path: export_onnx(model, path),
        "openvino": lambda path: export_openvino(model, path, precision, calibration=calibration),
    }
    if precision == "int8":
        name = f"{weights_digest(model)}-{_calibration_digest(calibration)}"
    else:
        name = weights_digest(model)
    name = f"{name}-{precision}-{version(engine)}{SUFFIXES[engine]}"
    return cache.keep(EXPORTS, name, make[engine])


def architecture_digest(model: keras.Model) -> str:
    """Of all that a model's speed depends on: its layers and their shapes."""
    told = json.dumps([model.get_config(), str(model.input_shape)], sort_keys=True, default=str)
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def weights_digest(model: keras.Model) -> str:
    """Of all that a model's outputs depend on: its layers, its weights and this release."""
    told = hashlib.blake2b(f"{VERSION} {architecture_digest(model)}".encode(), digest_size=12)
    for weight in model.weights:
        told.update(keras.ops.convert_to_numpy(weight.value).tobytes())
    return told.hexdigest()


def artifact_digest(path: Path) -> str:
    """Of an exported model's file, or of all files in a SavedModel's folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    told = "".join(cache.sha256(file) for file in files if file.is_file())
    return hashlib.blake2b(told.encode(), digest_size=12).hexdigest()


def _calibration_digest(calibration: Any) -> str:
    """Of the pictures themselves where they are an array, else of their paths."""
    told = calibration.tobytes() if hasattr(calibration, "tobytes") else repr(calibration).encode()
    return hashlib.blake2b(told, digest_size=6).hexdigest()
