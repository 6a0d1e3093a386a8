"""`keras-effnets finetune`: trains a classifier on a folder of images."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import ProgressColumn, Task
from rich.text import Text

from keras_effnets.commands.options import Weights, share_or_name
from keras_effnets.commands.terminal import progress_bar
from keras_effnets.training import PeerLostError, Processes, Reporter, Settings, finetune
from weights_tools.formats.terminal import complain, echo

_DEFAULTS = Settings(data="", model="")


def _option(help: str, **options: Any) -> Any:  # noqa: A002 (typer's own name)
    return typer.Option(help=help, **options)


def finetune_command(
    data: Annotated[
        str,
        typer.Argument(
            help="A folder of class folders, or of train and test folders; or stanford_dogs."
        ),
    ],
    model: Annotated[str, _option("A name from `list`, or a .keras file.")],
    out: Annotated[Path, _option("The run's folder. An unfinished run in it is resumed.")],
    weights: Weights = None,
    classes: Annotated[
        int | None, _option("Fail unless the data has this many classes.", min=1)
    ] = None,
    side: Annotated[
        int | None, _option("Input size in pixels. Default: that of the weights.")
    ] = None,
    validation: Annotated[
        float,
        _option("Share of the training images held out if there is no validation folder."),
    ] = _DEFAULTS.validation,
    batch: Annotated[int, _option("Batch size.")] = _DEFAULTS.batch_size,
    head_epochs: Annotated[
        int, _option("Largest number of epochs of stage one, which trains the head alone.")
    ] = _DEFAULTS.head_epochs,
    head_rate: Annotated[float, _option("Learning rate of stage one.")] = _DEFAULTS.head_rate,
    head_augment: Annotated[
        str,
        _option(
            "Augmentations of stage one, as for --tune-augment. Default: none, and the body's "
            "features are cached."
        ),
    ] = "",
    tune_epochs: Annotated[
        int,
        _option(
            "Largest number of epochs of stage two, which also trains the last stages; 0 skips it."
        ),
    ] = _DEFAULTS.tune_epochs,
    tune_rate: Annotated[float, _option("Learning rate of stage two.")] = _DEFAULTS.tune_rate,
    tune_since: Annotated[
        str, _option("First stage or layer trained in stage two, or the share kept frozen.")
    ] = str(_DEFAULTS.tune_since),
    tune_augment: Annotated[
        str,
        _option(
            "Augmentations of stage two, separated by commas: flip, crop, randaugment, mixup, "
            "cutmix; or none."
        ),
    ] = ",".join(_DEFAULTS.tune_augment),
    layer_decay: Annotated[
        float, _option("Ratio of a block's learning rate to that of the next block.")
    ] = _DEFAULTS.layer_decay,
    warmup: Annotated[
        float, _option("Share of a stage's steps used for warm-up.")
    ] = _DEFAULTS.warmup,
    weight_decay: Annotated[float, _option("Weight decay of AdamW.")] = _DEFAULTS.weight_decay,
    label_smoothing: Annotated[
        float, _option("Share of the target spread over all classes.")
    ] = _DEFAULTS.label_smoothing,
    ema: Annotated[
        float, _option("Momentum of the moving average of the weights; 0 turns it off.")
    ] = _DEFAULTS.ema,
    dropout: Annotated[
        float | None, _option("Dropout before the classifier. Default: the network's own.")
    ] = None,
    patience: Annotated[
        int, _option("Epochs without a better validation loss before a stage ends.")
    ] = _DEFAULTS.patience,
    class_weights: Annotated[
        str, _option("none, or balanced if the classes differ in size.")
    ] = _DEFAULTS.class_weights,
    precision: Annotated[
        str, _option("auto, float32, mixed_float16 or mixed_bfloat16.")
    ] = _DEFAULTS.precision,
    seed: Annotated[int, _option("Random seed.")] = _DEFAULTS.seed,
    distribute: Annotated[
        str, _option("none; mirrored, over this host's GPUs; or processes, on JAX.")
    ] = _DEFAULTS.distribute,
    coordinator: Annotated[
        str | None, _option("For processes: HOST:PORT of rank 0, the same in all processes.")
    ] = None,
    rank: Annotated[int, _option("For processes: the rank of this process, from 0.")] = 0,
    processes: Annotated[int, _option("For processes: their number.")] = 2,
    deterministic: Annotated[
        bool,
        typer.Option(
            "--deterministic", help="Repeat bit for bit with the same random seed; slower."
        ),
    ] = False,
) -> None:
    """Fine-tune a network on a folder of images, in two stages.

    The run's folder holds the model, its curves, its mistakes and a report; `predict --model
    FOLDER` uses it. After an interruption, the same command resumes after the last finished epoch.
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
            tune_since=share_or_name(tune_since),
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
        # At a normal exit JAX would wait for the lost process.
        os._exit(1)
    except KeyboardInterrupt:
        complain(f"interrupted; the same command resumes after the last finished epoch in {out}")
        raise typer.Exit(130) from None
    if outcome is not None:
        echo(outcome.line)
        echo(str(outcome.folder / "report.md"))


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip() not in ("", "none"))


class RunReporter(Reporter):
    """Reports a run on standard error, with progress bars if that is a terminal."""

    def say(self, message: str) -> None:
        """Writes the line."""
        complain(message)

    @contextmanager
    def bar(self, what: str, pictures: int) -> Iterator[Callable[[int], None]]:
        """Shows the number of images processed, the images/s and the time left.

        Yields:
            A function to call with the number of images processed since the last call.
        """
        with progress_bar(_Speed()) as bar:
            task = bar.add_task(what, total=pictures)
            yield lambda done: bar.advance(task, done)


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Shows the images/s, once they are known."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f} images/s" if speed else "", style="progress.data.speed")
