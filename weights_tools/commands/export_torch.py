"""`weights-tools export-torch`: writes a network's weights as a state dict for PyTorch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights_tools.formats.native_output import native_messages_dropped
from weights_tools.formats.terminal import check_output, megabytes, show_pairs

if TYPE_CHECKING:
    from weights_tools.export_torch import Report


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
    imported, network = NETWORKS[report.to](report.model, report.classes)
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


def _reading(report: Report) -> tuple[str, str]:
    """Returns the module to import and the expression that reads the file."""
    path = str(report.out)
    if path.endswith(".safetensors"):
        return "safetensors.torch", f"safetensors.torch.load_file({path!r})"
    return "torch", f"torch.load({path!r}, weights_only=True)"


def _shares(pixels: tuple[float, float, float]) -> str:
    """Formats pixel values from 0 to 255 as shares, such as "(0.485, 0.456, 0.406)"."""
    return f"({', '.join(f'{value / 255:.6g}' for value in pixels)})"


def _torchvision(model: str, classes: int) -> tuple[str, str]:
    options = f"num_classes={classes}" if classes != 1000 else ""
    return "import torchvision", f"torchvision.models.{model}({options})"


def _timm(model: str, classes: int, prefix: str = "") -> tuple[str, str]:
    from weights_tools.verify.libraries import TIMM_NAMES

    name = prefix + TIMM_NAMES.get(model, model)
    options = f", num_classes={classes}" if classes != 1000 else ""
    return "import timm", f"timm.create_model({name!r}{options})"


def _timm_tf(model: str, classes: int) -> tuple[str, str]:
    return _timm(model, classes, "tf_")


def _efficientnet_pytorch(model: str, classes: int) -> tuple[str, str]:
    package = "efficientnet_lite_pytorch" if "_lite" in model else "efficientnet_pytorch"
    options = f", num_classes={classes}" if classes != 1000 else ""
    return (
        f"from {package} import EfficientNet",
        f"EfficientNet.from_name({model.replace('_', '-')!r}{options})",
    )


NETWORKS: dict[str, Callable[[str, int], tuple[str, str]]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "timm_tf": _timm_tf,
    "efficientnet_pytorch": _efficientnet_pytorch,
}
"""Given our name and the number of classes: the import and expression that build the network."""
