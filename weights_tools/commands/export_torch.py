"""`weights-tools export-torch`: a network of ours into a state dict for PyTorch."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from weights_tools.formats.terminal import megabytes, show_pairs
from weights_tools.launch import native_messages_dropped

if TYPE_CHECKING:
    from weights_tools.export_torch import Report


def export_torch(
    model: Annotated[
        str,
        typer.Argument(
            help="A file of ours (.safetensors, .keras, .weights.h5), or a name from "
            "`keras-effnets list` for its default weights."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="File to write: .pth, .pt, .bin or .safetensors."),
    ],
    to: Annotated[
        str,
        typer.Option(
            "--to", help="Whose network: torchvision, timm, timm_tf or efficientnet_pytorch."
        ),
    ],
    name: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The file's network, where its header doesn't say it."),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="torch or tensorflow, where the file doesn't say it."),
    ] = None,
) -> None:
    """Write a network's weights for PyTorch; nothing is written where its network is another."""
    if not out.parent.is_dir():  # before Keras is imported for nothing
        raise FileNotFoundError(f"--out {str(out)!r}: there is no folder {out.parent}")
    with native_messages_dropped():
        from weights_tools.export_torch import export_torch as export

    start = time.perf_counter()
    report = export(model, out, to=to, name=name, profile=profile)
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
            "pictures": f"RGB / 255, less {_shares(preset.mean)}, over {_shares(preset.std)}; "
            f"{preset.interpolation} to {preset.resize}, crop {preset.crop}",
            "answers": "logits, without softmax",
        }
    )


def _reading(report: Report) -> tuple[str, str]:
    """The module that reads the file, and the expression."""
    path = str(report.out)
    if path.endswith(".safetensors"):
        return "safetensors.torch", f"safetensors.torch.load_file({path!r})"
    return "torch", f"torch.load({path!r}, weights_only=True)"


def _shares(pixels: tuple[float, float, float]) -> str:
    """Such as "(0.485, 0.456, 0.406)", of numbers between 0 and 255."""
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
