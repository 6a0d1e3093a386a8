"""`keras-effnets evaluate`: accuracy on a folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from keras_effnets.commands.options import (
    AsJson,
    BatchSize,
    ModelName,
    Weights,
    default_set,
    open_model,
)
from keras_effnets.commands.terminal import complain, progress, record, show, show_json
from keras_effnets.commands.words import sizes
from keras_effnets.images.folders import find_labelled_images, spread
from keras_effnets.images.model_interface import model_labels, model_preset
from keras_effnets.prediction.evaluation import evaluate


def evaluate_command(
    folder: Annotated[
        Path,
        typer.Argument(help="Of class folders, or of pictures with WordNet ids in their names."),
    ],
    model: ModelName,
    weights: Weights = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many pictures, evenly spread over the folder."),
    ] = None,
    batch: BatchSize = 16,
    as_json: AsJson = False,
) -> None:
    """Measure top-1 and top-5 accuracy on a folder. Exits 1 if a picture could not be read.

    Class folders are called by the model's labels; or, for a model without labels, by WordNet ids
    (1000 classes) or by class numbers; or else there is one a class, in the order of the classes.
    """
    if not folder.exists():  # before a model is loaded for nothing
        raise FileNotFoundError(f"{folder}: there is no such folder")
    network = open_model(model, weights)
    found = find_labelled_images(folder, network.output_shape[-1], model_labels(network))
    pictures = found.images if limit is None else spread(found.images, limit)
    start = time.perf_counter()
    with progress("Evaluating", len(pictures)) as advance:
        result = evaluate(network, pictures, batch_size=batch, progress=advance)
    seconds = time.perf_counter() - start
    for outcome in result.broken:
        complain(outcome.error)
    if not result.images:
        complain(f"error: none of the {len(pictures)} pictures can be read")
        raise typer.Exit(1)
    share1, share5 = (100 * count / result.images for count in (result.top1, result.top5))
    preset = model_preset(network)
    if as_json:
        show_json(
            {
                "model": model,
                "weights": weights or default_set(model),
                "folder": str(folder),
                "classes_by": found.named_by,
                "preset": preset.to_dict(),
                "pictures": result.images,
                "top1": share1,
                "top5": share5,
                "top1_correct": result.top1,
                "top5_correct": result.top5,
                "broken": [{"path": str(each.path), "error": each.error} for each in result.broken],
                "seconds": round(seconds, 3),
            }
        )
    else:
        lines = {
            "pictures": f"{result.images:,} in {seconds:.1f} s "
            f"({result.images / seconds:.0f} a second), classes by {found.named_by}",
            "preset": sizes(preset),
            "top-1": f"{share1:.2f} % ({result.top1:,} of {result.images:,})",
            "top-5": f"{share5:.2f} % ({result.top5:,} of {result.images:,})",
        }
        if result.broken:
            lines["broken"] = f"{len(result.broken):,}, not counted"
        chosen = weights or default_set(model)
        show(record(f"{model}, {chosen}" if chosen else model, lines))
    if result.broken:
        raise typer.Exit(1)
