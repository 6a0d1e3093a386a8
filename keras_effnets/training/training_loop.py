"""The training loop of one stage: fit, validate, keep the best weights, save the state."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras.optimizers.schedules import CosineDecay

from keras_effnets.training.optimizer import LayerwiseAdamW
from keras_effnets.training.progress import Reporter
from keras_effnets.training.run_network import has_gpu
from keras_effnets.training.run_state import RunState, VariableValues, assign, values_of
from keras_effnets.training.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStage:
    """A model to train, its data and its learning rates.

    Attributes:
        name: "head" or "tune".
        model: The model; its `trainable` flags select the layers that train.
        batches: A function from an epoch's number to training data for `fit`.
        validation: The data for `evaluate`, or None.
        pictures: The number of images in an epoch.
        epochs: The most epochs to train.
        rate: The peak learning rate.
        factors: Factors on the learning rate, by variable path.
    """

    name: str
    model: Any
    batches: Callable[[int], Any]
    validation: Any
    pictures: int
    epochs: int
    rate: float
    factors: dict[str, float]


class RunOptimizer(LayerwiseAdamW):
    """Keeps averaged weights beside the model's without overwriting the model.

    Keras's own optimizers overwrite the model with the averages at the end of every `fit`, and
    a run calls `fit` once for each epoch.
    """

    def finalize_variable_values(self, var_list: Any) -> None:
        """Does nothing, so that the model keeps its own weights."""

    def averages(self) -> list[tuple[Any, Any]]:
        """Pairs each trained variable with its average."""
        return list(
            zip(self._trainable_variables, self._model_variables_moving_average, strict=True)
        )


def run_stage(
    stage: TrainingStage,
    settings: Settings,
    state: RunState,
    saved: dict[str, VariableValues] | None,
    save: Callable[[dict[str, VariableValues]], None],
    reporter: Reporter,
) -> None:
    """Trains from `state` to the end of the stage and leaves the best weights in the model.

    Args:
        stage: The stage to train.
        settings: The run's settings.
        state: The run's state, updated after each epoch.
        saved: The values of "model" and "optimizer" saved in this stage; None starts the stage.
        save: A function called with these values after each epoch.
        reporter: Receives a line for each epoch.
    """
    _compile(stage, settings)
    variables, optimizer = stage.model.variables, stage.model.optimizer
    optimizer.build(stage.model.trainable_variables)
    progress = state.progress
    if saved is None:
        progress.stage, progress.epoch, progress.over = stage.name, 0, False
        progress.waited, progress.stage_loss = 0, float("inf")
        # The weights of the previous stage are the best until an epoch is better.
        state.best = values_of(variables)
    else:
        assign(variables, saved["model"])
        assign(optimizer.variables, saved["optimizer"])
    while progress.epoch < stage.epochs and not progress.over:
        record = _epoch(stage, progress.epoch, reporter)
        with _Averaged(stage.model, settings):
            if stage.validation is not None:
                record |= _validate(stage)
            # Without validation each epoch counts as better than the previous one.
            loss = record.get("val_loss", -float(len(progress.history)))
            progress.waited += 1
            if loss < progress.stage_loss:
                progress.stage_loss, progress.waited = loss, 0
            if loss < progress.best_loss:
                progress.best_loss, progress.best_stage = loss, stage.name
                state.best = values_of(variables)
        progress.history.append(record)
        progress.epoch += 1
        progress.over = progress.waited >= settings.patience or progress.epoch == stage.epochs
        save({"model": values_of(variables), "optimizer": values_of(optimizer.variables)})
        reporter.say(_line(stage, record))
    assign(variables, state.best)


def _compile(stage: TrainingStage, settings: Settings) -> None:
    """Compiles the stage's model with its optimizer, loss and metric."""
    steps = stage.epochs * -(-stage.pictures // settings.batch_size)
    warmup = round(settings.warmup * steps)
    schedule = CosineDecay(
        0.0 if warmup else stage.rate,
        max(1, steps - warmup),
        warmup_target=stage.rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = RunOptimizer(
        schedule,
        factors=stage.factors,
        weight_decay=settings.weight_decay,
        use_ema=settings.ema > 0,
        ema_momentum=settings.ema or 0.99,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    stage.model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing),
        metrics=["accuracy"],
        # On TensorFlow's CPU, XLA is several times slower.
        jit_compile="auto" if has_gpu() or keras.backend.backend() != "tensorflow" else False,
    )


def _epoch(stage: TrainingStage, number: int, reporter: Reporter) -> dict[str, Any]:
    start = time.perf_counter()
    with reporter.bar(f"{stage.name}, epoch {number + 1} of {stage.epochs}", stage.pictures) as bar:
        logs = stage.model.fit(
            stage.batches(number), verbose=0, shuffle=False, callbacks=[_Bar(stage.pictures, bar)]
        ).history
    seconds = time.perf_counter() - start
    return {
        "stage": stage.name,
        "epoch": number + 1,
        "loss": logs["loss"][-1],
        "accuracy": logs["accuracy"][-1],
        "learning_rate": float(keras.ops.convert_to_numpy(stage.model.optimizer.learning_rate)),
        "seconds": round(seconds, 3),
        "pictures_per_second": round(stage.pictures / seconds, 1),
    }


def _validate(stage: TrainingStage) -> dict[str, float]:
    logs = stage.model.evaluate(stage.validation, verbose=0, return_dict=True)
    return {"val_loss": float(logs["loss"]), "val_accuracy": float(logs["accuracy"])}


def _line(stage: TrainingStage, record: dict[str, Any]) -> str:
    parts = [
        f"{stage.name} {record['epoch']}/{stage.epochs}",
        f"loss {record['loss']:.4f}",
        f"accuracy {record['accuracy']:.1%}",
    ]
    if "val_loss" in record:
        parts.append(f"validation loss {record['val_loss']:.4f}")
        parts.append(f"accuracy {record['val_accuracy']:.1%}")
    parts.append(f"{record['pictures_per_second']:,.0f} images/s")
    return ", ".join(parts)


class _Bar(keras.callbacks.Callback):
    """Advances a progress bar by the images of each step."""

    def __init__(self, pictures: int, advance: Callable[[int], None]) -> None:
        super().__init__()
        self._pictures, self._advance, self._done = pictures, advance, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        steps = self.params["steps"] or 1
        done = min(self._pictures, -(-self._pictures * (batch + 1) // steps))
        self._advance(done - self._done)
        self._done = done


class _Averaged:
    """Gives the model its averaged weights while the block runs, if the run averages them."""

    def __init__(self, model: Any, settings: Settings) -> None:
        optimizer = model.optimizer
        optimizer = getattr(optimizer, "inner_optimizer", optimizer)
        self._pairs: Sequence[tuple[Any, Any]] = optimizer.averages() if settings.ema else ()

    def __enter__(self) -> None:
        self._own = values_of([variable for variable, _ in self._pairs])
        for variable, average in self._pairs:
            variable.assign(average)

    def __exit__(self, *exception: object) -> None:
        assign([variable for variable, _ in self._pairs], self._own)
