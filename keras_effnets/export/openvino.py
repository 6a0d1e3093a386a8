"""OpenVINO: for Intel's processors, and fast on others."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.calibration import (
    Labelled,
    Pictures,
    calibration_pictures,
    labelled_pictures,
)
from keras_effnets.export.export_checked import TOLERANCE, export_checked, new_file
from keras_effnets.export.frozen_graph import INPUT, OUTPUT, freeze_graph
from keras_effnets.export.parity import Array
from keras_effnets.export.quantisation_cost import rounding
from keras_effnets.export.runtimes import OpenVINO, has_bfloat16, require
from weights_tools.formats.native_output import all_messages_dropped

PRECISIONS = ("float32", "bfloat16", "int8")
MOST = 300
"""Pictures to calibrate by, as NNCF's own default; Lite0's divergence was half that with 100."""
_LOOSE = {"bfloat16": 0.1, "int8": None}
"""Tolerances of what is rounded on purpose; what int8 costs is measured, and said."""


def export_openvino(
    model: keras.Model,
    path: str | os.PathLike[str],
    precision: str = "float32",
    *,
    batch: int | None = None,
    calibration: Pictures | None = None,
    labelled: Labelled | None = None,
    pictures: Array | None = None,
    tolerance: float | None = None,
) -> Artifact:
    """Writes a model as OpenVINO's .xml and .bin, and its description as `PATH.json`.

    Batch norms are folded. The input is called `images`, (B, H, W, C), as the model takes them;
    the output `scores`. OpenVINO itself chooses bfloat16 where the CPU has it: whoever opens a
    "float32" file otherwise than by `Predictor` sets `INFERENCE_PRECISION_HINT` to `f32`.

    Args:
        model: Any functional or sequential model of pictures with one output; of one that takes
            pictures of any size the preset names the side.
        path: Ending in .xml; what is there is replaced.
        precision: "float32"; "bfloat16", which is the same file, computed in bfloat16 and checked
            so; "int8", weights and activations.
        batch: Pictures at once; None for any number.
        calibration: For "int8": real pictures, a folder, files or an array of pixels 0-255, of
            which at most `MOST` are taken.
        labelled: For "int8": a folder of pictures with their classes, as `keras-effnets evaluate`
            takes it, or (path, class) pairs, to measure what accuracy it costs.
        pictures: To compare it with the model, (B, H, W, C); None for made ones.
        tolerance: Of `parity.compare`; None takes 1e-3 for float32, 0.1
            for bfloat16, and any for int8.

    Returns:
        What is in the description.

    Raises:
        ImportError: Without openvino, or for int8 without nncf.
        ValueError: For an argument that does not do, bfloat16 on a CPU without it, int8 without
            pictures to calibrate by, or a model that is not such.
        OSError: If the folder takes no file.
        ParityError: If it does not give what the model gives; nothing is written then.
    """
    require("openvino", *(["nncf"] if precision == "int8" else []), extra="openvino")
    target = new_file(path, ".xml")
    if precision not in PRECISIONS:
        raise ValueError(f"precision={precision!r}: expected one of {PRECISIONS}")
    if batch is not None and batch < 1:
        raise ValueError(f"batch={batch!r}: expected 1 or more, or None for any")
    if precision != "int8" and (calibration is not None or labelled is not None):
        raise ValueError(f"precision={precision!r}: calibration and labelled are for 'int8' alone")
    if precision == "bfloat16" and not has_bfloat16():
        raise ValueError("precision='bfloat16': this CPU does not compute in it")
    examples = calibration_pictures(model, calibration, MOST) if precision == "int8" else None
    tried = None if labelled is None else labelled_pictures(model, labelled)

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
            cost = rounding(OpenVINO(plain), OpenVINO(file), examples, labelled=tried)
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


def _quantized(network: Any, examples: Array) -> Any:
    with all_messages_dropped():  # it draws bars
        import nncf

        return nncf.quantize(
            network,
            nncf.Dataset([picture[None] for picture in examples]),
            subset_size=len(examples),
            preset=nncf.QuantizationPreset.MIXED,
            # Slower, and worth it: the quick correction looks at each layer by itself.
            fast_bias_correction=False,
        )
