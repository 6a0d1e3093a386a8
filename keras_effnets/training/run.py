"""A whole run, new or resumed: the data, the model, both stages and the report."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_effnets.data import Broken, Splits, check_augmentations, open_data, warnings_of
from keras_effnets.models.surgery import freeze, unfreeze
from keras_effnets.prediction.evaluation import predict_images
from keras_effnets.training.progress import Reporter, log
from keras_effnets.training.report import Outcome, write_report
from keras_effnets.training.run_data import (
    drop_unreadable,
    fingerprint,
    hold_out_validation,
    outputs_in_order,
)
from keras_effnets.training.run_folder import RunFolder
from keras_effnets.training.run_network import build_network, numerics
from keras_effnets.training.run_state import (
    RunProgress,
    RunState,
    VariableValues,
    assign,
    read_state,
    values_of,
    write_state,
)
from keras_effnets.training.settings import Settings
from keras_effnets.training.stages import Stages
from keras_effnets.training.training_loop import TrainingStage, run_stage
from keras_effnets.training.workers import (
    PeerLostError,
    Processes,
    Workers,
    is_lost_peer,
    workers_for,
)
from weights_tools import __version__

_MOST_WARNINGS = 10


def finetune(
    pictures: str | os.PathLike[str] | Splits,
    *,
    model: str,
    out: str | os.PathLike[str],
    reporter: Reporter | None = None,
    classes: int | None = None,
    processes: Processes | None = None,
    **settings: Any,
) -> Outcome | None:
    """Fine-tunes a network on a folder of images.

    Stage one trains a new classifier on the frozen body; stage two also trains the last stages
    of the body. The epoch with the lowest validation loss of both is kept. The run's folder holds
    the model, the metrics and a report. The same call resumes a run that was stopped.

    Args:
        pictures: A folder of class folders, a folder with `train` and `test` folders of class
            folders, a folder with the Stanford Dogs archives, "stanford_dogs", or a `Splits`.
        model: A network's name, or the path of a .keras file.
        out: The run's folder.
        reporter: Receives the progress; the default is the log.
        classes: The number of classes that the data must have; None allows any.
        processes: This process's place among several, with `distribute="processes"`. All are
            called with the same arguments but for the rank, and all see the same files.
        **settings: The attributes of `keras_effnets.training.Settings`.

    Returns:
        The outcome with the model; None in a process of rank 1 or more.

    Raises:
        ValueError: If settings, data or the folder are invalid; nothing is written.
        OSError: If a file cannot be read or written; existing files stay intact.
        PeerLostError: If another process of the run is gone.
    """
    where = "pictures" if isinstance(pictures, Splits) else os.fspath(pictures)
    wanted = Settings(data=where, model=os.fspath(model), **settings)
    reporter = reporter or Reporter()
    splits = pictures if isinstance(pictures, Splits) else open_data(where)
    if classes not in (None, len(splits.classes)):
        raise ValueError(f"classes={classes!r}: {wanted.data} has {len(splits.classes)} classes")
    warnings = warnings_of(splits)
    for warning in warnings[:_MOST_WARNINGS]:
        reporter.say(f"warning: {warning}")
    if len(warnings) > _MOST_WARNINGS:
        reporter.say(f"warning: and {len(warnings) - _MOST_WARNINGS} more")
    splits, broken = drop_unreadable(splits, reporter)
    splits = hold_out_validation(splits, wanted)
    folder = RunFolder(out)
    config = {
        "settings": wanted.to_dict(),
        "data": fingerprint(splits),
        "versions": {
            "keras_effnets": __version__,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "python": platform.python_version(),
        },
    }
    keras.utils.set_random_seed(wanted.seed)
    # Before anything uses a device, because JAX's processes must connect first.
    workers = workers_for(wanted.distribute, processes)
    workers.check(wanted.batch_size)
    try:
        with numerics(wanted), workers.scope():
            run = _Run(wanted, splits, folder, reporter, workers)
            best = run.go(config)
    except Exception as error:  # JAX raises many types
        if processes and is_lost_peer(error):
            raise PeerLostError(error) from error
        raise
    return run.conclude(best, config, broken) if workers.is_chief else None


class _Run:
    """One run in one process."""

    def __init__(
        self,
        settings: Settings,
        splits: Splits,
        folder: RunFolder,
        reporter: Reporter,
        workers: Workers,
    ) -> None:
        self.settings, self.splits, self.workers = settings, splits, workers
        self.folder, self.reporter = folder, reporter
        self.model = build_network(settings, splits.classes)
        self.state = RunState(RunProgress(), [])
        self._saved: dict[str, VariableValues] | None = None
        # Check these settings before the folder is created.
        unfreeze(self.model, since=settings.tune_since)
        for augment in (settings.head_augment, settings.tune_augment):
            check_augmentations(augment)

    def go(self, config: dict[str, Any]) -> VariableValues:
        """Trains from the state in the folder and returns the best weights."""
        if self.workers.is_chief:
            with self.folder.claim(config):
                self._resume()
                self._train()
        else:
            self._resume()
            self._train()
        return values_of(self.model.variables)

    def _resume(self) -> None:
        """Reads the state of this run from the folder, if any."""
        found = read_state(self.folder.state)
        self.workers.wait("the state is read")
        if found is None:
            return
        progress, self._saved = found
        self.state = RunState(progress, self._saved.pop("best"))
        self.reporter.say(f"resuming after epoch {progress.epoch} of stage {progress.stage}")

    def _train(self) -> None:
        """Runs the rest of both stages and leaves the best weights in the model."""
        settings, at = self.settings, self.state.progress.stage
        freeze(self.model)
        stages = Stages(self.model, settings, self.splits, self.workers, self.folder, self.reporter)
        if settings.head_epochs and at != "tune":
            self._run(stages.head())
        if settings.tune_epochs:
            unfreeze(self.model, since=settings.tune_since)
            self._run(stages.tune())

    def _run(self, stage: TrainingStage) -> None:
        run_stage(stage, self.settings, self.state, self._saved, self._save, self.reporter)
        self._saved = None

    def _save(self, groups: dict[str, VariableValues]) -> None:
        if not self.workers.is_chief:
            return
        progress = self.state.progress
        write_state(self.folder.state, progress, {**groups, "best": self.state.best})
        self.folder.write_table(self.folder.metrics, progress.history)

    def conclude(
        self, best: VariableValues, config: dict[str, Any], broken: Sequence[Broken]
    ) -> Outcome:
        """Writes the model and the report, in float32 on this process's default device."""
        log.disabled = True  # the untrained variables have been logged once
        try:
            model = build_network(self.settings, self.splits.classes)
        finally:
            log.disabled = False
        assign(model.variables, best)
        with self.folder.claim(config):
            return self._conclude(model, broken)

    def _conclude(self, best: Any, broken: Sequence[Broken]) -> Outcome:
        labels = "".join(f"{name}\n" for name in self.splits.classes)
        self.folder.write_text(self.folder.labels, labels)
        self.folder.write_model(best)
        for part in ("train", "validation"):
            self.folder.features(part).unlink(missing_ok=True)
        part = "test" if self.splits.test is not None else "validation"
        pictures = getattr(self.splits, part) or self.splits.train
        if pictures is self.splits.train:
            part = "training"
        outcomes = predict_images(best, map(Path, pictures.paths))
        scores = outputs_in_order(outcomes, len(pictures), f"{part} images", self.reporter)
        return write_report(
            self.folder,
            Outcome(
                model=best,
                folder=self.folder.path,
                part=part,
                pictures=pictures,
                scores=np.stack(list(scores)),
                history=tuple(self.state.progress.history),
                broken=tuple(broken),
                settings=self.settings,
                train=len(self.splits.train),
                validation=len(self.splits.validation or ()),
            ),
        )
