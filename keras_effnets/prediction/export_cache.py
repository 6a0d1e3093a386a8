"""Caches what a live model was exported to, by the model's content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from keras_effnets.export import litert, openvino
from keras_effnets.export.calibration import CalibrationImages
from keras_effnets.export.onnx import export_onnx
from keras_effnets.export.runtimes import version
from keras_effnets.prediction.engines import SUFFIXES
from keras_effnets.weights import cache
from weights_tools import __version__

EXPORTS = "exports"
PRECISIONS = {
    "keras": ("float32",),
    "tensorflow": ("float32",),
    "onnxruntime": ("float32",),
    "litert": ("float32", *(each for each in litert.PRECISIONS if each)),
    "openvino": openvino.PRECISIONS,
}
"""The precisions in which each engine can run a live model."""


def cached_export(
    model: keras.Model, engine: str, precision: str, calibration: CalibrationImages | None = None
) -> Path:
    """Returns the path of a model's exported file in the cache, exporting it if it is not there.

    Args:
        model: The model to export.
        engine: One of `engines.SUFFIXES`.
        precision: One of the engine's `PRECISIONS`.
        calibration: The images for "int8".
    """
    make: dict[str, Callable[[Path], Any]] = {
        "litert": lambda path: litert.export_litert(
            model,
            path,
            None if precision == "float32" else precision,
            calibration=calibration,
        ),
        "onnxruntime": lambda path: export_onnx(model, path),
        "openvino": lambda path: openvino.export_openvino(
            model, path, precision, calibration=calibration
        ),
    }
    name = weights_digest(model)
    if precision == "int8":
        name += f"-{_calibration_digest(calibration)}"
    name += f"-{precision}-{version(engine)}{SUFFIXES[engine]}"
    return cache.keep(EXPORTS, name, make[engine])


def architecture_digest(model: keras.Model) -> str:
    """Returns a digest of what a model's speed depends on: its layers and their shapes."""
    content = json.dumps([model.get_config(), str(model.input_shape)], sort_keys=True, default=str)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


def weights_digest(model: keras.Model) -> str:
    """Returns a digest of what a model's outputs depend on: layers, weights and this release."""
    digest = hashlib.blake2b(f"{__version__} {architecture_digest(model)}".encode(), digest_size=12)
    for weight in model.weights:
        digest.update(keras.ops.convert_to_numpy(weight.value).tobytes())
    return digest.hexdigest()


def artifact_digest(path: Path) -> str:
    """Returns a digest of an exported model's file, or of all files in a SavedModel's folder."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    digests = "".join(cache.sha256(file) for file in files if file.is_file())
    return hashlib.blake2b(digests.encode(), digest_size=12).hexdigest()


def _calibration_digest(calibration: Any) -> str:
    """Returns a digest of an array's pixels, or of the images' paths."""
    content = (
        calibration.tobytes() if hasattr(calibration, "tobytes") else repr(calibration).encode()
    )
    return hashlib.blake2b(content, digest_size=6).hexdigest()
