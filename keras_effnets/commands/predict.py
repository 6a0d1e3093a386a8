"""`keras-effnets predict`: what is in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from keras_effnets.commands.options import AsJson, BatchSize, ModelName, Weights, open_model
from keras_effnets.contact_sheet import contact_sheet
from keras_effnets.evaluation import model_labels, predict_pictures
from keras_effnets.folders import find_pictures
from keras_effnets.preprocessing import Prediction, decode_predictions
from keras_effnets.terminal import complain, listing, literal, progress, show, show_json


def predict_command(
    images: Annotated[
        list[str],
        typer.Argument(help="Picture files, folders (with all below them), or quoted patterns."),
    ],
    model: ModelName,
    top: Annotated[int, typer.Option("--top", "-t", min=1, help="Classes to name, at most.")] = 5,
    weights: Weights = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Also draw the pictures with their predictions: a PNG.")
    ] = None,
    batch: BatchSize = 16,
    as_json: AsJson = False,
) -> None:
    """Name what is in pictures. Exits 1 if one of them could not be read."""
    paths = find_pictures(images)
    if sheet is not None:
        _check_sheet(sheet)
    network = open_model(model, weights)
    top = min(top, network.output_shape[-1])
    labels = model_labels(network)
    named: dict[Path, list[Prediction]] = {}
    broken: dict[Path, str] = {}
    with progress("Predicting", len(paths), hidden_to=batch) as advance:
        for outcome in predict_pictures(network, paths, batch_size=batch):
            if outcome.scores is None:
                broken[outcome.path] = outcome.error
            else:
                (named[outcome.path],) = decode_predictions(outcome.scores[None], top, labels)
            advance()
    for error in broken.values():
        complain(error)
    if as_json:
        show_json([_prediction_json(path, named, broken) for path in paths])
    elif named:
        show(_predictions_table(named))
    if sheet is not None and named:
        contact_sheet([(path, [each[1:] for each in best]) for path, best in named.items()], sheet)
        complain(f"drew {sheet}")
    if broken:
        raise typer.Exit(1)


def _prediction_json(
    path: Path, named: dict[Path, list[Prediction]], broken: dict[Path, str]
) -> dict[str, Any]:
    if path in broken:
        return {"path": str(path), "error": broken[path]}
    return {"path": str(path), "predictions": [each._asdict() for each in named[path]]}


def _check_sheet(sheet: Path) -> None:
    if sheet.suffix.lower() != ".png":
        raise ValueError(f"--sheet {str(sheet)!r}: expected a path ending in .png")
    if not sheet.parent.is_dir():
        raise FileNotFoundError(f"--sheet {str(sheet)!r}: there is no folder {sheet.parent}")


def _predictions_table(named: dict[Path, list[Prediction]]) -> Table:
    table = listing("Picture", "Class", ">Score")
    plain = table.box is None
    for path, best in named.items():
        for rank, prediction in enumerate(best):
            table.add_row(
                # Each line of plain output stands for itself; on a terminal once is enough.
                literal(path) if plain or rank == 0 else "",
                literal(prediction.name, "" if rank else "bold"),
                f"{prediction.score:.1%}",
                end_section=prediction is best[-1],
            )
    return table
