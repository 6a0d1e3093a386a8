"""LiteRT, once TensorFlow Lite: for phones and small machines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.calibration import (
    Labelled,
    Pictures,
    calibration_pictures,
    labelled_pictures,
)
from keras_effnets.export.export_checked import TOLERANCE, export_checked, new_file
from keras_effnets.export.frozen_graph import freeze_graph
from keras_effnets.export.parity import Array
from keras_effnets.export.quantisation_cost import rounding
from keras_effnets.export.runtimes import LiteRT, require
from weights_tools.formats.native_output import all_messages_dropped

PRECISIONS = (None, "float16", "dynamic", "int8")
_LOOSE = {"float16": 1e-2, "dynamic": None, "int8": None}
"""Tolerances of what is rounded on purpose; what int8 costs is measured, and said."""
MOST = 100
"""Pictures to calibrate by: with three times as many Lite0 agreed no better."""
_FLOAT_OPERATORS = ["SOFTMAX"]
"""Never quantised: an int8 probability is a multiple of 1/256, and most of a thousand are 0."""


def export_litert(
    model: keras.Model,
    path: str | os.PathLike[str],
    quantize: str | None = None,
    *,
    calibration: Pictures | None = None,
    labelled: Labelled | None = None,
    keep_float: Sequence[str] = (),
    pictures: Array | None = None,
    tolerance: float | None = None,
) -> Artifact:
    """Writes a model as .tflite, checked with LiteRT, and its description as `PATH.json`.

    Batch norms are folded; any number of pictures at once. Input and output stay float32 however
    it computes: (B, H, W, C) as the model takes them, to scores.

    Args:
        model: Any functional or sequential model of pictures with one output; of one that takes
            pictures of any size the preset names the side.
        path: Ending in .tflite; what is there is replaced.
        quantize: None for float32; "float16" halves the file; "dynamic" has int8 weights and
            float32 activations; "int8" has both in int8.
        calibration: For "int8": real pictures, a folder, files or an array of pixels 0-255, of
            which at most `MOST` are taken.
        labelled: For "int8": a folder of pictures with their classes, as `keras-effnets evaluate`
            takes it, or (path, class) pairs, to measure what accuracy it costs; other pictures
            than those of the calibration.
        keep_float: For "int8": layers to leave in float32, by their names in the folded model or
            by a block's.
        pictures: To compare it with the model, (B, H, W, C); None for made ones.
        tolerance: Of `parity.compare`; None takes 1e-3 for float32, 1e-2
            for float16, and any for the others.

    Returns:
        What is in the description.

    Raises:
        ImportError: Without ai-edge-litert.
        ValueError: For a `quantize`, a path or a layer's name that do not do, without pictures to
            calibrate by, or for a model that is not such.
        OSError: If the folder takes no file.
        ParityError: If it does not give what the model gives; nothing is written then.
    """
    require("ai_edge_litert", extra="litert")
    target = new_file(path, ".tflite")
    if quantize not in PRECISIONS:
        raise ValueError(f"quantize={quantize!r}: expected one of {PRECISIONS}")
    if quantize != "int8" and (calibration is not None or labelled is not None or keep_float):
        raise ValueError(
            f"quantize={quantize!r}: calibration, labelled and keep_float are for 'int8' alone"
        )
    examples = calibration_pictures(model, calibration, MOST) if quantize == "int8" else None
    tried = None if labelled is None else labelled_pictures(model, labelled)

    def convert(folded: keras.Model, file: Path) -> dict[str, Any]:
        if examples is None:
            file.write_bytes(_converted(folded, quantize))
            return {}
        plain = file.with_name("float32")
        plain.write_bytes(_converted(folded, None))
        file.write_bytes(_quantized(folded, examples, keep_float))
        cost = rounding(
            LiteRT(plain),
            LiteRT(file),
            examples,
            kept_float=keep_float,
            labelled=tried,
        )
        plain.unlink()
        return {"rounding": cost}

    return export_checked(
        model,
        target,
        kind="litert",
        precision=quantize or "float32",
        convert=convert,
        load=LiteRT,
        tolerance=_LOOSE.get(quantize or "", TOLERANCE) if tolerance is None else tolerance,
        pictures=pictures,
    )


def _converter(model: keras.Model) -> Any:
    import tensorflow as tf

    frozen = freeze_graph(model)
    return tf.lite.TFLiteConverter.from_concrete_functions([frozen.function], model)


def _converted(model: keras.Model, quantize: str | None) -> bytes:
    import tensorflow as tf

    converter = _converter(model)
    if quantize:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if quantize == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return converter.convert()


def _quantized(model: keras.Model, examples: Array, keep_float: Sequence[str]) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    def one_by_one() -> Iterator[list[Array]]:
        for picture in examples:
            yield [np.ascontiguousarray(picture[None])]

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = one_by_one
    # The converter itself takes no list of what to leave in float32; the step behind its
    # calibration does.
    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    kept = _nodes(calibrated, model, keep_float)
    with all_messages_dropped():
        return mlir_quantize(calibrated, denylisted_ops=_FLOAT_OPERATORS, denylisted_nodes=kept)


def _nodes(model_content: bytes, model: keras.Model, layers: Sequence[str]) -> list[str]:
    """The names of the tensors that layers make in a LiteRT model.

    Raises:
        ValueError: For a layer that makes none.
    """
    from ai_edge_litert.interpreter import Interpreter

    names = [
        tensor["name"] for tensor in Interpreter(model_content=model_content).get_tensor_details()
    ]
    found: list[str] = []
    for layer in layers:
        made = [name for name in names if _made_by(layer, name)]
        if not made:
            raise ValueError(
                f"keep_float: there is no layer {layer!r}; the folded model has "
                f"{', '.join(each.name for each in model.layers[1:6])}, …"
            )
        found += made
    return found


def _made_by(layer: str, tensor: str) -> bool:
    """Whether a tensor's name says that a layer, or one of a block's, made it."""
    parts = [part for name in tensor.split(";") for part in name.split("/")]
    return any(part == layer or part.startswith(f"{layer}_") for part in parts)
