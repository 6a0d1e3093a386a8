"""`keras-effnets finetune`: a folder of pictures to a model that names what is in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from keras_effnets.commands.options import Weights
from keras_effnets.commands.terminal import RunReporter, complain, echo
from keras_effnets.training import PeerLostError, Processes, Settings, finetune

_DEFAULTS = Settings(data="", model="")


def _option(help: str, **options: Any) -> Any:  # noqa: A002 (typer's own word)
    return typer.Option(help=help, **options)


def finetune_command(
    data: Annotated[
        str,
        typer.Argument(help="Folder of class folders, or of train and test; or stanford_dogs."),
    ],
    model: Annotated[
        str, _option("A name from `list`, or the path of a .keras file.", rich_help_panel=None)
    ],
    out: Annotated[Path, _option("The run's folder; an unfinished run in it goes on.")],
    weights: Weights = None,
    classes: Annotated[
        int | None, _option("How many the data must have; only checked.", min=1)
    ] = None,
    side: Annotated[int | None, _option("Of the pictures, pixels. Default: the weights'.")] = None,
    validation: Annotated[
        float, _option("Share of the training pictures held out, without a validation folder.")
    ] = _DEFAULTS.validation,
    batch: Annotated[int, _option("Pictures a step.")] = _DEFAULTS.batch_size,
    head_epochs: Annotated[
        int, _option("Stage one, the head alone, at most.")
    ] = _DEFAULTS.head_epochs,
    head_rate: Annotated[float, _option("Learning rate of stage one.")] = _DEFAULTS.head_rate,
    head_augment: Annotated[
        str, _option("In stage one, names with commas. Default: none, and features are cached.")
    ] = "",
    tune_epochs: Annotated[
        int, _option("Stage two, the last stages too, at most; 0 leaves it out.")
    ] = _DEFAULTS.tune_epochs,
    tune_rate: Annotated[float, _option("Learning rate of stage two.")] = _DEFAULTS.tune_rate,
    tune_since: Annotated[
        str, _option("First stage or layer that learns in stage two, or the share left frozen.")
    ] = str(_DEFAULTS.tune_since),
    tune_augment: Annotated[
        str, _option("In stage two: flip, crop, randaugment, mixup, cutmix; or none.")
    ] = ",".join(_DEFAULTS.tune_augment),
    layer_decay: Annotated[
        float, _option("Factor on the rate from a block to the one before.")
    ] = _DEFAULTS.layer_decay,
    warmup: Annotated[
        float, _option("Share of a stage in which the rate rises.")
    ] = _DEFAULTS.warmup,
    weight_decay: Annotated[float, _option("As AdamW takes it.")] = _DEFAULTS.weight_decay,
    label_smoothing: Annotated[
        float, _option("Share of the target spread over all classes.")
    ] = _DEFAULTS.label_smoothing,
    ema: Annotated[float, _option("Momentum of averaged weights, 0 for none.")] = _DEFAULTS.ema,
    dropout: Annotated[
        float | None, _option("Before the classifier. Default: the network's own.")
    ] = None,
    patience: Annotated[
        int, _option("Epochs without a better validation loss that end a stage.")
    ] = _DEFAULTS.patience,
    class_weights: Annotated[
        str, _option("none, or balanced for classes of unlike size.")
    ] = _DEFAULTS.class_weights,
    precision: Annotated[
        str, _option("auto, float32, mixed_float16 or mixed_bfloat16.")
    ] = _DEFAULTS.precision,
    seed: Annotated[int, _option("Of everything random.")] = _DEFAULTS.seed,
    distribute: Annotated[
        str, _option("none; mirrored, over this host's GPUs; or processes, on JAX.")
    ] = _DEFAULTS.distribute,
    coordinator: Annotated[
        str | None, _option("With processes: HOST:PORT of rank 0, the same for all.")
    ] = None,
    rank: Annotated[int, _option("With processes: of this one, from 0.")] = 0,
    processes: Annotated[int, _option("With processes: how many there are.")] = 2,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="The same bits for the same seed; slower.")
    ] = False,
) -> None:
    """Fine-tune a network on a folder of pictures, in two stages; resumable at any time.

    The run's folder holds the model, its curves, its mistakes and a report; `predict --model
    FOLDER` uses it. Stopped or killed, the same command goes on after the last finished epoch.
    """
    try:
        outcome = finetune(
            data,
            model=model,
            out=out,
            reporter=RunReporter(),
            classes=classes,
            weights=weights,
            side=side,
            validation=validation,
            batch_size=batch,
            head_epochs=head_epochs,
            head_rate=head_rate,
            head_augment=_names(head_augment),
            tune_epochs=tune_epochs,
            tune_rate=tune_rate,
            tune_since=_place(tune_since),
            tune_augment=_names(tune_augment),
            layer_decay=layer_decay,
            warmup=warmup,
            weight_decay=weight_decay,
            label_smoothing=label_smoothing,
            ema=ema,
            dropout=dropout,
            patience=patience,
            class_weights=class_weights,
            precision=precision,
            seed=seed,
            distribute=distribute,
            processes=None
            if coordinator is None
            else Processes(coordinator=coordinator, rank=rank, count=processes),
            deterministic=deterministic,
        )
    except PeerLostError as error:
        complain(f"error: {error}")
        # JAX would wait for the lost one at a regular exit.
        os._exit(1)
    except KeyboardInterrupt:
        complain(f"stopped; the same command goes on after the last finished epoch in {out}")
        raise typer.Exit(130) from None
    if outcome is not None:
        echo(outcome.line)
        echo(str(outcome.folder / "report.md"))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))


def _place(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
