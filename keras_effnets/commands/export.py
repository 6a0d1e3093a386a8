"""`keras-effnets export`: a model for servers, phones and other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_effnets.commands.options import AsJson, Weights, open_model
from keras_effnets.commands.terminal import complain, record, show, show_json
from keras_effnets.export import (
    Artifact,
    export_litert,
    export_onnx,
    export_openvino,
    export_saved_model,
)

TARGETS = ("saved-model", "litert", "onnx", "openvino")


def export_command(
    model: Annotated[
        str,
        typer.Argument(
            help="A name from `list`, or the path of a .keras file or of a fine-tuning run."
        ),
    ],
    to: Annotated[str, typer.Option(help=f"One of {', '.join(TARGETS)}.")],
    out: Annotated[
        Path, typer.Option(help="The file, ending in .tflite, .onnx or .xml; or the folder.")
    ],
    weights: Weights = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="litert: float32, float16, dynamic, int8; openvino: float32, bfloat16, int8."
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="For int8: a folder of real pictures.")
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            help="For int8: a folder of other pictures, with their classes, to try it on."
        ),
    ] = None,
    keep_float: Annotated[
        list[str] | None, typer.Option(help="For litert int8: a layer to leave in float32.")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="For onnx, openvino: pictures at once. Default: any.")
    ] = None,
    opset: Annotated[int | None, typer.Option(help="For onnx: its opset. Default: 18.")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, help="For saved-model: its number. Default: the next.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="For saved-model: replace the version.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model for another runtime, and compare what it gives there with the model.

    Batch norms are folded into the convolutions. What does not give what the model gives is not
    kept.
    """
    given = {
        "precision": precision,
        "calibration": calibration,
        "labelled": labelled,
        "keep-float": keep_float or None,
        "batch": batch,
        "opset": opset,
        "version": version,
        "overwrite": overwrite or None,
    }
    _check(to, {name: value for name, value in given.items() if value is not None})
    network = open_model(model, weights)
    if to == "saved-model":
        written = export_saved_model(network, out, version, overwrite=overwrite)
        complain(f"wrote {written}")
        return
    described = _export(network, to, out, precision or "float32", given)
    complain(f"wrote {out}")
    if as_json:
        show_json(described.to_dict())
    else:
        show(record(str(out), _facts(described)))


_KNOWN = {
    "saved-model": ("version", "overwrite"),
    "litert": ("precision", "calibration", "labelled", "keep-float"),
    "onnx": ("batch", "opset"),
    "openvino": ("precision", "calibration", "labelled", "batch"),
}
"""Options of each target."""


def _check(to: str, given: dict[str, Any]) -> None:
    if to not in TARGETS:
        raise ValueError(f"--to {to!r}: expected one of {', '.join(TARGETS)}")
    for name, value in given.items():
        if name not in _KNOWN[to]:
            others = [target for target in TARGETS if name in _KNOWN[target]]
            raise ValueError(f"--{name} {value}: is for --to {' and '.join(others)}, not {to}")


def _export(network: Any, to: str, out: Path, precision: str, given: dict[str, Any]) -> Artifact:
    if to == "onnx":
        return export_onnx(network, out, batch=given["batch"], opset=given["opset"] or 18)
    pictures = {"calibration": given["calibration"], "labelled": given["labelled"]}
    if to == "openvino":
        return export_openvino(network, out, precision, batch=given["batch"], **pictures)
    return export_litert(
        network,
        out,
        None if precision == "float32" else precision,
        keep_float=given["keep-float"] or (),
        **pictures,
    )


def _facts(described: Artifact) -> dict[str, str]:
    facts = {
        "format": described.format,
        "precision": described.precision,
        "size": f"{described.bytes / 1e6:.1f} MB",
        "input": " x ".join("any" if side is None else str(side) for side in described.input_shape),
        "parity": str(described.parity),
    }
    cost = described.rounding
    if cost is not None:
        facts["calibrated on"] = f"{cost.pictures} pictures"
        facts["mean error"] = f"{cost.mean_error:.1e} of an output, on them"
        facts["worst error"] = f"{max(cost.output_errors):.1e}"
        facts["same first class"] = f"{cost.agreement:.1%} of them"
        if cost.kl_divergence is not None:
            facts["KL divergence"] = f"{cost.kl_divergence:.4f} nats, mean"
        if cost.labelled:
            facts["top-1 before"] = f"{cost.top1_before:.1%} of {cost.labelled} labelled pictures"
            facts["top-1 after"] = f"{cost.top1_after:.1%}"
            facts["same of these"] = f"{cost.labelled_agreement:.1%}"
    return facts
