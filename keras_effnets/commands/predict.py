"""`keras-effnets predict`: what is in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from keras_effnets.commands.options import AsJson, BatchSize, ModelName, Weights
from keras_effnets.commands.predict_table import chosen, open_any, predict_table
from keras_effnets.commands.terminal import complain, listing, literal, progress, show, show_json
from keras_effnets.images.class_names import Prediction
from keras_effnets.images.contact_sheet import contact_sheet
from keras_effnets.images.folders import find_images
from keras_effnets.prediction import Predictor

Engine = Annotated[
    str | None,
    typer.Option(
        help="auto, tensorflow, litert, onnxruntime, openvino or keras. Default: keras, which "
        "needs no export; auto with --out.",
    ),
]


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
    engine: Engine = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Write a Parquet file instead, of any number of pictures; goes on."),
    ] = None,
    ray: Annotated[
        int | None, typer.Option(min=1, help="With --out: by so many workers of a Ray cluster.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Name what is in pictures. Exits 1 if one of them could not be read.

    --model may also be what `export` wrote: it brings its own engine.
    """
    if out is not None:
        if sheet is not None or as_json:
            raise ValueError("--out: neither --sheet nor --json goes with it")
        predict_table(
            images, out, model=model, weights=weights, top=top, batch=batch, engine=engine, ray=ray
        )
        return
    if ray is not None:
        raise ValueError(f"--ray {ray}: goes with --out")
    paths = find_images(images)
    if sheet is not None:
        _check_sheet(sheet)
    predictor = Predictor(open_any(model, weights), chosen(model, engine), batch_size=batch)
    named: dict[Path, list[Prediction]] = {}
    broken: dict[Path, str] = {}
    with progress("Predicting", len(paths), hidden_to=batch) as advance:
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
