"""Exports to ONNX: for ONNX Runtime and other readers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.export_checked import TOLERANCE, export_checked, new_file
from keras_effnets.export.frozen_graph import INPUT, OUTPUT, freeze_graph
from keras_effnets.export.runtimes import OnnxRuntime, require

OPSETS = range(13, 19)
"""The ONNX opsets that `tf2onnx` writes for these networks."""


def export_onnx(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    batch: int | None = None,
    opset: int = 18,
    pictures: NDArray[Any] | None = None,
    tolerance: float = TOLERANCE,
) -> Artifact:
    """Writes a model as .onnx, checked with ONNX Runtime, and its description as `PATH.json`.

    Batch norms are folded. The input is named `images`, (B, H, W, C), as the model takes them; the
    output is named `scores`.

    Args:
        model: A functional or sequential model of images with one output. If it takes images of
            any size, the preset determines the size.
        path: The file to write, ending in .onnx; an existing file is replaced.
        batch: The batch size; None for any.
        opset: The ONNX opset, one of `OPSETS`.
        pictures: Images to compare the outputs on, (B, H, W, C); None uses `probe_images`.
        tolerance: As in `parity.compare`.

    Returns:
        The description.

    Raises:
        ImportError: tf2onnx, onnx or onnxruntime is not installed.
        ValueError: The batch size, opset or path is invalid, or the model cannot be exported.
        OSError: The folder can't be written to.
        ParityError: The outputs differ from the model's; nothing is written.
    """
    require("tf2onnx", "onnx", "onnxruntime", extra="onnx")
    target = new_file(path, ".onnx")
    if batch is not None and batch < 1:
        raise ValueError(f"batch={batch!r}: expected 1 or more, or None for any")
    if opset not in OPSETS:
        raise ValueError(f"opset={opset!r}: expected {OPSETS[0]} to {OPSETS[-1]}")
    return export_checked(
        model,
        target,
        kind="onnx",
        precision="float32",
        convert=lambda folded, file: _convert(folded, file, batch, opset),
        load=OnnxRuntime,
        tolerance=tolerance,
        pictures=pictures,
    )


def _convert(model: keras.Model, path: Path, batch: int | None, opset: int) -> None:
    import onnx
    import tensorflow as tf
    from tf2onnx.optimizer import optimize_graph
    from tf2onnx.tf_loader import tf_optimize
    from tf2onnx.tfonnx import process_tf_graph

    frozen = freeze_graph(model, batch)
    # Divisions by constants become products, which a transpose can be moved across.
    with tf.Graph().as_default():
        graph_def = tf_optimize([frozen.input], [frozen.output], frozen.graph_def)
    _give_scalars_an_axis(graph_def)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        converted = process_tf_graph(
            graph,
            opset=opset,
            input_names=[frozen.input],
            output_names=[frozen.output],
            tensors_to_rename={frozen.input: INPUT, frozen.output: OUTPUT},
        )
        written = optimize_graph(converted).make_model(model.name)
    for value in (*written.graph.input, *written.graph.output):
        if batch is None:
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    _keep_zeros_before_max_pooling(written.graph)
    onnx.checker.check_model(written)
    path.write_bytes(written.SerializeToString())


def _give_scalars_an_axis(graph_def: Any) -> None:
    """Reshapes factors and summands from () to (1): tf2onnx can't move a transpose across ()."""
    read: dict[str, set[str]] = {}
    for node in graph_def.node:
        for name in node.input:
            read.setdefault(name, set()).add(node.op)
    for node in graph_def.node:
        if node.op == "Const" and read.get(node.name, {""}) <= {"Mul", "AddV2", "Sub"}:
            shape = node.attr["value"].tensor.tensor_shape
            if not shape.dim:
                shape.dim.add(size=1)


def _keep_zeros_before_max_pooling(graph: Any) -> None:
    """Pads with a number that is not quite 0 before a max pooling.

    ONNX Runtime (1.31) merges a padding by zeros into the pooling, which pads by -inf: wrong where
    negative numbers are pooled, as in PreActResNet. It leaves padding by other numbers alone.
    """
    from onnx import numpy_helper

    pooled = {name for node in graph.node if node.op_type == "MaxPool" for name in node.input}
    known = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type != "Pad" or not pooled & set(node.output):
            continue
        value = known.get(node.input[2]) if len(node.input) > 2 else None
        if value is None or not numpy_helper.to_array(value).any():
            name = f"{node.output[0]}_value"
            graph.initializer.append(numpy_helper.from_array(np.float32(1e-30), name))
            del node.input[2:]
            node.input.append(name)
