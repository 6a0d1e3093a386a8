"""`keras-effnets predict`: classifies images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from keras_effnets.commands.options import BatchSize, ModelName, Weights
from keras_effnets.commands.predict_to_parquet import (
    engine_name,
    open_model_or_artifact,
    predict_to_parquet,
)
from keras_effnets.commands.terminal import column_table, literal, progress, show
from keras_effnets.images.class_names import Prediction
from keras_effnets.images.contact_sheet import contact_sheet
from keras_effnets.images.folders import find_images
from keras_effnets.prediction import Predictor
from weights_tools.formats.terminal import AsJson, check_output, complain, show_json


def predict_command(
    images: Annotated[
        list[str],
        typer.Argument(help="Image files, folders (searched recursively), or quoted patterns."),
    ],
    model: ModelName,
    top: Annotated[
        int, typer.Option("--top", "-t", min=1, help="Largest number of classes per image.")
    ] = 5,
    weights: Weights = None,
    sheet: Annotated[
        Path | None,
        typer.Option(help="Also draw the images with their predictions, as a .png file."),
    ] = None,
    batch: BatchSize = 16,
    engine: Annotated[
        str | None,
        typer.Option(
            help="auto, tensorflow, litert, onnxruntime, openvino or keras. Default: keras, which "
            "needs no export; with --out, auto."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Write a Parquet file instead, for any number of images. An unfinished file is "
            "resumed."
        ),
    ] = None,
    ray: Annotated[
        int | None,
        typer.Option(min=1, help="With --out: use this many workers of a Ray cluster."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Classify images. Exits 1 if an image could not be read.

    --model may also be an artifact of `export`, which runs on its own engine.
    """
    if out is not None:
        if sheet is not None or as_json:
            raise ValueError("--out can't be combined with --sheet or --json")
        predict_to_parquet(
            images, out, model=model, weights=weights, top=top, batch=batch, engine=engine, ray=ray
        )
        return
    if ray is not None:
        raise ValueError(f"--ray {ray} needs --out")
    paths = find_images(images)
    if sheet is not None:
        check_output("--sheet", sheet, ".png")
    opened = open_model_or_artifact(model, weights)
    predictor = Predictor(opened, engine_name(model, engine), batch_size=batch)
    named: dict[Path, list[Prediction]] = {}
    broken: dict[Path, str] = {}
    with progress("Predicting", len(paths), hidden_up_to=batch) as advance:
        for outcome in predictor.files(paths):
            if outcome.scores is None:
                broken[outcome.path] = outcome.error
            else:
                named[outcome.path] = predictor.named(outcome, top)
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


def _predictions_table(named: dict[Path, list[Prediction]]) -> Table:
    table = column_table("Image", "Class", ">Score")
    plain = table.box is None
    for path, best in named.items():
        for rank, prediction in enumerate(best):
            table.add_row(
                # In a pipe every line has the path; on a terminal only an image's first.
                literal(path) if plain or rank == 0 else "",
                literal(prediction.name, "" if rank else "bold"),
                f"{prediction.score:.1%}",
                end_section=prediction is best[-1],
            )
    return table
