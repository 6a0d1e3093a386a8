"""`keras-effnets evaluate`: accuracy on a folder of labelled images."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from keras_effnets.commands.formatting import preset_sizes
from keras_effnets.commands.options import (
    BatchSize,
    ModelName,
    Weights,
    default_weights,
    open_model,
)
from keras_effnets.commands.terminal import facts_table, progress, show
from keras_effnets.images.folders import find_labelled_images, spread
from keras_effnets.images.model_interface import model_labels, model_preset
from keras_effnets.prediction.evaluation import evaluate
from weights_tools.formats.terminal import AsJson, complain, show_json


def evaluate_command(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A folder of class folders, or of images with WordNet ids in their names."
        ),
    ],
    model: ModelName,
    weights: Weights = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Use at most this many images, spread evenly over the folder."),
    ] = None,
    batch: BatchSize = 16,
    as_json: AsJson = False,
) -> None:
    """Measure top-1 and top-5 accuracy on a folder. Exits 1 if an image could not be read.

    Class folders are named after the model's labels. For a model without labels they are named
    by WordNet id (1000 classes) or class number; otherwise there is one per class, and the
    sorted folder names follow the order of the classes.
    """
    if not folder.exists():  # before the model is loaded
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
        complain(f"error: none of the {len(pictures)} images can be read")
        raise typer.Exit(1)
    share1, share5 = (100 * count / result.images for count in (result.top1, result.top5))
    preset = model_preset(network)
    if as_json:
        show_json(
            {
                "model": model,
                "weights": weights or default_weights(model),
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
            "images": f"{result.images:,} in {seconds:.1f} s "
            f"({result.images / seconds:.0f} images/s), classes by {found.named_by}",
            "preset": preset_sizes(preset),
            "top-1": f"{share1:.2f} % ({result.top1:,} of {result.images:,})",
            "top-5": f"{share5:.2f} % ({result.top5:,} of {result.images:,})",
        }
        if result.broken:
            lines["broken"] = f"{len(result.broken):,} unreadable, not counted"
        chosen = weights or default_weights(model)
        show(facts_table(f"{model}, {chosen}" if chosen else model, lines))
    if result.broken:
        raise typer.Exit(1)
