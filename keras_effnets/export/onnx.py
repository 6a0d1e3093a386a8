"""ONNX: for ONNX Runtime, and for whatever else reads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.export_checked import TOLERANCE, export_checked, new_file
from keras_effnets.export.frozen_graph import INPUT, OUTPUT, freeze_graph
from keras_effnets.export.parity import Array
from keras_effnets.export.runtimes import OnnxRuntime, require

OPSETS = range(13, 19)
"""Of ONNX, that `tf2onnx` writes for these networks."""


def export_onnx(
    model: keras.Model,
    path: str | os.PathLike[str],
    *,
    batch: int | None = None,
    opset: int = 18,
    pictures: Array | None = None,
    tolerance: float = TOLERANCE,
) -> Artifact:
    """Writes a model as .onnx, checked with ONNX Runtime, and its description as `PATH.json`.

    Batch norms are folded. The input is called `images`, (B, H, W, C), as the model takes them;
    the output `scores`.

    Args:
        model: Any functional or sequential model of pictures with one output; of one that takes
            pictures of any size the preset names the side.
        path: Ending in .onnx; what is there is replaced.
        batch: Pictures at once; None for any number.
        opset: Of ONNX, one of `OPSETS`.
        pictures: To compare it with the model, (B, H, W, C); None for made ones.
        tolerance: Of `parity.compare`.

    Returns:
        What is in the description.

    Raises:
        ImportError: Without tf2onnx, onnx and onnxruntime.
        ValueError: For a batch, an opset or a path that do not do, or a model that is not such.
        OSError: If the folder takes no file.
        ParityError: If it does not give what the model gives; nothing is written then.
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
    # Divisions by constants become products, which a transposition can be moved across.
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
    """Makes factors and summands () into (1): tf2onnx fails to move a transposition across ()."""
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

    ONNX Runtime (1.31) takes a padding by zeros for the pooling's own, which is by -inf: wrong
    where negative numbers are pooled, as in PreActResNet. Of other numbers it keeps its hands off.
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
