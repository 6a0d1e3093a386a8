"""`keras-effnets list`: the models and their accuracy."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from keras_effnets.commands.formatting import NONE, percent
from keras_effnets.commands.terminal import column_table, literal, show
from keras_effnets.models.registry import list_models, model_info
from weights_tools.formats.terminal import AsJson, complain, show_json


def list_command(
    pattern: Annotated[
        str, typer.Argument(help="Shell pattern of model names, such as '*lite*'.")
    ] = "*",
    family: Annotated[str | None, typer.Option(help="Only this family.")] = None,
    max_parameters: Annotated[
        str | None, typer.Option(help="Largest number of parameters, such as 5M or 5_000_000.")
    ] = None,
    min_top1: Annotated[
        float | None, typer.Option(help="Lowest published top-1 accuracy, in percent.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the models and their published accuracy on ImageNet."""
    most = None if max_parameters is None else _parameter_count(max_parameters)
    rows = [_row(name) for name in list_models(pattern)]
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
        complain("no model matches")
        return
    table = column_table(
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
    """Parses 5M, 5.3M, 300k or 5_000_000."""
    factor = {"k": 1e3, "M": 1e6, "B": 1e9}.get(text[-1:])
    try:
        count = round(float(text[:-1]) * factor) if factor else int(text)
    except (ValueError, OverflowError):
        count = 0
    if count < 1:
        raise ValueError(f"--max-parameters {text!r}: expected a number such as 5M or 5_000_000")
    return count


def _row(name: str) -> dict[str, Any]:
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
