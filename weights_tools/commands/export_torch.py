"""`weights-tools export-torch`: writes a network's weights as a state dict for PyTorch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights_tools.formats.native_output import native_messages_dropped
from weights_tools.formats.terminal import check_output, megabytes, show_pairs

if TYPE_CHECKING:
    from weights_tools.export_torch import ExportReport


def export_torch_command(
    model: Annotated[
        str,
        typer.Argument(
            help="A .safetensors, .keras or .weights.h5 file of keras_effnets, or a name from "
            "`keras-effnets list` for its default weights."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The .pth, .pt, .bin or .safetensors file to write."),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="The library to write for: torchvision, timm, timm_tf or efficientnet_pytorch.",
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The network, if the file does not record it."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="torch or tensorflow, if the file does not record it."),
    ] = None,
) -> None:
    """Write a network's weights for PyTorch. Fails if the library's network is a different one."""
    check_output("--out", out)
    with native_messages_dropped():
        from weights_tools.export_torch import export_torch

    start = time.perf_counter()
    report = export_torch(model, out, to=to, name=name, profile=profile)
    seconds = time.perf_counter() - start
    size = report.out.stat().st_size
    preset = report.preset
    imported, network = construction(report.to, report.architecture, report.classes)
    loaded, reading = _reading(report)
    show_pairs(
        {
            "wrote": report.out,
            "size": f"{size:,} bytes ({megabytes(size)}), in {seconds:.1f} s",
            "model": report.model,
            "to": report.to,
            "profile": report.profile,
            "tensors": f"{report.tensors:,}",
            "counters": f"{report.counters} num_batches_tracked, {report.counted} of them known",
            "load with": f"import {loaded}; {imported}; model = {network}",
            "": f"model.load_state_dict({reading}); model.eval()",
            "images": f"RGB / 255, minus {_shares(preset.mean)}, over {_shares(preset.std)}; "
            f"{preset.interpolation} to {preset.resize}, crop {preset.crop}",
            "output": "logits, without softmax",
        }
    )


def _reading(report: ExportReport) -> tuple[str, str]:
    """Returns the module to import and the expression that reads the file."""
    path = str(report.out)
    if path.endswith(".safetensors"):
        return "safetensors.torch", f"safetensors.torch.load_file({path!r})"
    return "torch", f"torch.load({path!r}, weights_only=True)"


def _shares(pixels: tuple[float, float, float]) -> str:
    """Formats pixel values from 0 to 255 as shares, such as "(0.485, 0.456, 0.406)"."""
    return f"({', '.join(f'{value / 255:.6g}' for value in pixels)})"


def construction(to: str, architecture: str, classes: int) -> tuple[str, str]:
    """The import and the expression that make a library's network."""
    options = f"num_classes={classes}" if classes != 1000 else ""
    if to == "torchvision":
        return "import torchvision", f"torchvision.models.{architecture}({options})"
    arguments = ", ".join(filter(None, (repr(architecture), options)))
    if to == "efficientnet_pytorch":
        lite = "-lite" in architecture
        package = "efficientnet_lite_pytorch" if lite else "efficientnet_pytorch"
        return f"from {package} import EfficientNet", f"EfficientNet.from_name({arguments})"
    return "import timm", f"timm.create_model({arguments})"
