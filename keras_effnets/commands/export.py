"""`keras-effnets export`: models for servers, phones and other runtimes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from keras_effnets.commands.options import MODEL_HELP, Weights, open_model
from keras_effnets.commands.terminal import facts_table, show
from keras_effnets.export import (
    Artifact,
    export_litert,
    export_onnx,
    export_openvino,
    export_saved_model,
)
from weights_tools.formats.terminal import AsJson, complain, show_json

_OPTIONS = {
    "saved-model": ("version", "overwrite"),
    "litert": ("precision", "calibration", "labelled", "keep-float"),
    "onnx": ("batch", "opset"),
    "openvino": ("precision", "calibration", "labelled", "batch"),
}
"""The options of each target."""


def export_command(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    to: Annotated[str, typer.Option(help=f"One of {', '.join(_OPTIONS)}.")],
    out: Annotated[
        Path,
        typer.Option(help="The .tflite, .onnx or .xml file to write; for saved-model, the folder."),
    ],
    weights: Weights = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="For litert: float32, float16, dynamic or int8. For openvino: float32, bfloat16 "
            "or int8."
        ),
    ] = None,
    calibration: Annotated[
        Path | None, typer.Option(help="For int8: a folder of real images.")
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            help="For int8: a folder of other, labelled images to measure the loss of accuracy."
        ),
    ] = None,
    keep_float: Annotated[
        list[str] | None,
        typer.Option(help="For litert int8: a layer to keep in float32; repeatable."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="For onnx and openvino: batch size. Default: any.")
    ] = None,
    opset: Annotated[int | None, typer.Option(help="For onnx: the opset. Default: 18.")] = None,
    version: Annotated[
        int | None,
        typer.Option(min=1, help="For saved-model: the version number. Default: the next."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="For saved-model: replace an existing version.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write a model for another runtime, and compare its outputs there with the model's.

    Batch norms are folded into the convolutions. If the outputs differ, the export is not kept.
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
        show(facts_table(str(out), _facts(described)))


def _check(to: str, given: dict[str, Any]) -> None:
    if to not in _OPTIONS:
        raise ValueError(f"--to {to!r}: expected one of {', '.join(_OPTIONS)}")
    for name, value in given.items():
        if name not in _OPTIONS[to]:
            targets = [target for target, names in _OPTIONS.items() if name in names]
            raise ValueError(f"--{name} {value}: only for --to {' or '.join(targets)}, not {to}")


def _export(network: Any, to: str, out: Path, precision: str, given: dict[str, Any]) -> Artifact:
    if to == "onnx":
        return export_onnx(network, out, batch=given["batch"], opset=given["opset"] or 18)
    images = {"calibration": given["calibration"], "labelled": given["labelled"]}
    if to == "openvino":
        return export_openvino(network, out, precision, batch=given["batch"], **images)
    return export_litert(
        network,
        out,
        None if precision == "float32" else precision,
        keep_float=given["keep-float"] or (),
        **images,
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
        facts["calibrated on"] = f"{cost.pictures} images"
        facts["mean error"] = f"{cost.mean_error:.1e} per output, on these"
        facts["worst error"] = f"{max(cost.output_errors):.1e}"
        facts["same first class"] = f"{cost.agreement:.1%} of these"
        if cost.kl_divergence is not None:
            facts["KL divergence"] = f"{cost.kl_divergence:.4f} nats, mean"
        if cost.labelled:
            facts["top-1 before"] = f"{cost.top1_before:.1%} of {cost.labelled} labelled images"
            facts["top-1 after"] = f"{cost.top1_after:.1%}"
            facts["agreement"] = f"{cost.labelled_agreement:.1%} of these"
    return facts
