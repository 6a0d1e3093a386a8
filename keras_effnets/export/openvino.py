"""Exports to OpenVINO: for Intel processors, and fast on others too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import keras
from numpy.typing import NDArray

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.calibration import (
    CalibrationImages,
    LabelledImages,
    calibration_images,
    labelled_images,
)
from keras_effnets.export.export_checked import TOLERANCE, export_checked, new_file
from keras_effnets.export.frozen_graph import INPUT, OUTPUT, freeze_graph
from keras_effnets.export.quantisation_cost import measure_cost
from keras_effnets.export.runtimes import OpenVINO, has_bfloat16, require
from weights_tools.formats.native_output import all_messages_dropped

PRECISIONS = ("float32", "bfloat16", "int8")
MOST = 300
"""The most calibration images, NNCF's own default; Lite0's divergence was half that with 100."""
_LOOSE = {"bfloat16": 0.1, "int8": None}
"""Tolerances of the rounded precisions; the cost of int8 is measured and reported instead."""


def export_openvino(
    model: keras.Model,
    path: str | os.PathLike[str],
    precision: str = "float32",
    *,
    batch: int | None = None,
    calibration: CalibrationImages | None = None,
    labelled: LabelledImages | None = None,
    pictures: NDArray[Any] | None = None,
    tolerance: float | None = None,
) -> Artifact:
    """Writes a model as OpenVINO's .xml and .bin, and its description as `PATH.json`.

    Batch norms are folded. The input is named `images`, (B, H, W, C), as the model takes them; the
    output is named `scores`. OpenVINO itself chooses bfloat16 where the CPU has it; `Predictor`
    forces float32, other programs need `INFERENCE_PRECISION_HINT` set to `f32`.

    Args:
        model: A functional or sequential model of images with one output. If it takes images of
            any size, the preset determines the size.
        path: The file to write, ending in .xml; an existing file is replaced.
        precision: "float32"; "bfloat16", which writes the same file but computes and checks it in
            bfloat16; "int8", weights and activations.
        batch: The batch size; None for any.
        calibration: For "int8": real images, as a folder, files or an array of pixels 0-255, of
            which at most `MOST` are used.
        labelled: For "int8": a folder of images with their classes, as for `keras-effnets
            evaluate`, or (path, class) pairs, to measure the loss of accuracy.
        pictures: Images to compare the outputs on, (B, H, W, C); None uses `probe_images`.
        tolerance: As in `parity.compare`; None allows 1e-3 for float32, 0.1 for bfloat16, and any
            difference for int8.

    Returns:
        The description.

    Raises:
        ImportError: openvino, or for int8 nncf, is not installed.
        ValueError: An argument is invalid, the CPU has no bfloat16, int8 has no calibration
            images, or the model cannot be exported.
        OSError: The folder can't be written to.
        ParityError: The outputs differ from the model's; nothing is written.
    """
    require("openvino", *(["nncf"] if precision == "int8" else []), extra="openvino")
    target = new_file(path, ".xml")
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected one of {PRECISIONS}")
    if batch is not None and batch < 1:
        raise ValueError(f"batch={batch!r}: expected 1 or more, or None for any")
    if precision != "int8" and (calibration is not None or labelled is not None):
        raise ValueError(f"precision={precision!r}: calibration and labelled are for 'int8' only")
    if precision == "bfloat16" and not has_bfloat16():
        raise ValueError("precision='bfloat16': this CPU does not compute in it")
    examples = calibration_images(model, calibration, MOST) if precision == "int8" else None
    tried = None if labelled is None else labelled_images(model, labelled)

    def convert(folded: keras.Model, file: Path) -> dict[str, Any]:
        import openvino

        network = _converted(folded, batch)
        if examples is None:
            openvino.save_model(network, file, compress_to_fp16=False)
            return {}
        with tempfile.TemporaryDirectory() as folder:
            plain = Path(folder) / "float32.xml"
            openvino.save_model(network, plain, compress_to_fp16=False)
            openvino.save_model(_quantized(network, examples), file, compress_to_fp16=False)
            cost = measure_cost(OpenVINO(plain), OpenVINO(file), examples, labelled=tried)
        return {"rounding": cost}

    return export_checked(
        model,
        target,
        kind="openvino",
        precision=precision,
        convert=convert,
        load=lambda file: OpenVINO(file, precision=precision),
        tolerance=_LOOSE.get(precision, TOLERANCE) if tolerance is None else tolerance,
        pictures=pictures,
    )


def _converted(model: keras.Model, batch: int | None) -> Any:
    import openvino

    frozen = freeze_graph(model, batch)
    with tempfile.TemporaryDirectory() as folder:
        graph = Path(folder) / "graph.pb"
        graph.write_bytes(frozen.graph_def.SerializeToString())
        network = openvino.convert_model(str(graph))
    network.inputs[0].get_tensor().set_names({INPUT})
    network.outputs[0].get_tensor().set_names({OUTPUT})
    return network


def _quantized(network: Any, examples: NDArray[Any]) -> Any:
    with all_messages_dropped():  # NNCF draws progress bars
        import nncf

        return nncf.quantize(
            network,
            nncf.Dataset([image[None] for image in examples]),
            subset_size=len(examples),
            preset=nncf.QuantizationPreset.MIXED,
            # Slower but better: the fast correction treats each layer by itself.
            fast_bias_correction=False,
        )
