"""Exports to LiteRT, formerly TensorFlow Lite: for phones and small machines."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.calibration import (
    CalibrationImages,
    LabelledImages,
    calibration_images,
    labelled_images,
)
from keras_effnets.export.export_checked import TOLERANCE, export_checked, new_file
from keras_effnets.export.frozen_graph import freeze_graph
from keras_effnets.export.quantisation_cost import measure_cost
from keras_effnets.export.runtimes import LiteRT, require
from weights_tools.formats.native_output import all_messages_dropped

PRECISIONS = (None, "float16", "dynamic", "int8")
_LOOSE = {"float16": 1e-2, "dynamic": None, "int8": None}
"""Tolerances of the rounded precisions; the cost of int8 is measured and reported instead."""
MOST = 100
"""The most calibration images; with three times as many, Lite0 agreed no better."""
_FLOAT_OPERATORS = ["SOFTMAX"]
"""Never quantised: an int8 probability is a multiple of 1/256, so most of a thousand would be 0."""


def export_litert(
    model: keras.Model,
    path: str | os.PathLike[str],
    quantize: str | None = None,
    *,
    calibration: CalibrationImages | None = None,
    labelled: LabelledImages | None = None,
    keep_float: Sequence[str] = (),
    pictures: NDArray[Any] | None = None,
    tolerance: float | None = None,
) -> Artifact:
    """Writes a model as .tflite, checked with LiteRT, and its description as `PATH.json`.

    Batch norms are folded, and the batch size is free. Inputs, (B, H, W, C) as the model takes
    them, and outputs are float32 in every precision.

    Args:
        model: A functional or sequential model of images with one output. If it takes images of
            any size, the preset determines the size.
        path: The file to write, ending in .tflite; an existing file is replaced.
        quantize: None for float32; "float16" halves the file; "dynamic" has int8 weights and
            float32 activations; "int8" has both in int8.
        calibration: For "int8": real images, as a folder, files or an array of pixels 0-255, of
            which at most `MOST` are used.
        labelled: For "int8": a folder of images with their classes, as for `keras-effnets
            evaluate`, or (path, class) pairs, to measure the loss of accuracy; they should differ
            from the calibration images.
        keep_float: For "int8": layers to leave in float32, by their names in the folded model or
            by the name of a block.
        pictures: Images to compare the outputs on, (B, H, W, C); None uses `probe_images`.
        tolerance: As in `parity.compare`; None allows 1e-3 for float32, 1e-2 for float16, and any
            difference for the others.

    Returns:
        The description.

    Raises:
        ImportError: ai-edge-litert is not installed.
        ValueError: `quantize`, the path or a layer's name is invalid, int8 has no calibration
            images, or the model cannot be exported.
        OSError: The folder can't be written to.
        ParityError: The outputs differ from the model's; nothing is written.
    """
    require("ai_edge_litert", extra="litert")
    target = new_file(path, ".tflite")
    if quantize not in PRECISIONS:
        raise ValueError(f"quantize={quantize!r}: expected one of {PRECISIONS}")
    if quantize != "int8" and (calibration is not None or labelled is not None or keep_float):
        raise ValueError(
            f"quantize={quantize!r}: calibration, labelled and keep_float are for 'int8' only"
        )
    examples = calibration_images(model, calibration, MOST) if quantize == "int8" else None
    tried = None if labelled is None else labelled_images(model, labelled)

    def convert(folded: keras.Model, file: Path) -> dict[str, Any]:
        if examples is None:
            file.write_bytes(_converted(folded, quantize))
            return {}
        plain = file.with_name("float32")
        plain.write_bytes(_converted(folded, None))
        file.write_bytes(_quantized(folded, examples, keep_float))
        cost = measure_cost(
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


def _quantized(model: keras.Model, examples: NDArray[Any], keep_float: Sequence[str]) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize

    def one_by_one() -> Iterator[list[NDArray[Any]]]:
        for image in examples:
            yield [np.ascontiguousarray(image[None])]

    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = one_by_one
    # The converter takes no list of layers to leave in float32, but the step after its
    # calibration does.
    converter._experimental_calibrate_only = True
    calibrated = converter.convert()
    kept = _nodes(calibrated, model, keep_float)
    with all_messages_dropped():
        return mlir_quantize(calibrated, denylisted_ops=_FLOAT_OPERATORS, denylisted_nodes=kept)


def _nodes(model_content: bytes, model: keras.Model, layers: Sequence[str]) -> list[str]:
    """Returns the names of the tensors that some layers compute in a LiteRT model.

    Raises:
        ValueError: A layer computes none.
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
    """Whether a layer, or a layer of a block, computes a tensor, by the tensor's name."""
    parts = [part for name in tensor.split(";") for part in name.split("/")]
    return any(part == layer or part.startswith(f"{layer}_") for part in parts)
