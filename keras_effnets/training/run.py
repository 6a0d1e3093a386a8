"""A whole run: data, model, the two stages, the report; from the start or from where it stopped."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets import data
from keras_effnets.data import Broken, Pictures, Splits
from keras_effnets.data.augmentation import check_augmentations
from keras_effnets.models.surgery import freeze, unfreeze
from keras_effnets.prediction.evaluation import predict_images
from keras_effnets.training.learning import Kept, Stage, run_stage
from keras_effnets.training.progress import Reporter, log
from keras_effnets.training.report import Outcome, write_report
from keras_effnets.training.run_data import facts, readable, with_validation
from keras_effnets.training.run_folder import RunFolder
from keras_effnets.training.run_network import computing, prepared
from keras_effnets.training.settings import Settings
from keras_effnets.training.stages import Stages
from keras_effnets.training.state import (
    Progress,
    Values,
    assign,
    read_state,
    values_of,
    write_state,
)
from keras_effnets.training.workers import (
    PeerLostError,
    Processes,
    Workers,
    is_lost_peer,
    workers_for,
)
from keras_effnets.version import VERSION

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
    """Teaches a network the classes of a folder of pictures.

    Stage one trains a new classifier on the frozen body, stage two the last stages too. The epoch
    with the lowest validation loss of both is kept. The run's folder holds all there is to see;
    a run that was stopped goes on where it was when it is asked for again with the same arguments.

    Args:
        pictures: A folder of class folders (or with `train` and `test` folders of them), a folder
            of Stanford Dogs' archives, or "stanford_dogs"; or pictures that a program has found.
        model: A network's name, or the path of a .keras file.
        out: The run's folder.
        reporter: Hears how it goes; by default, the log.
        classes: How many the data must have; None takes as many as there are.
        processes: Which process of several this is, with `distribute="processes"`. Each is called
            alike but for its rank, and all see the same files.
        **settings: Of `keras_effnets.training.Settings`.

    Returns:
        What came out, the model included; None in a process of another rank than 0.

    Raises:
        ValueError: For settings, data or a folder that do not do, before anything is written.
        OSError: If something cannot be read or written; what was there before is still whole.
        PeerLostError: If another process of the run is gone.
    """
    where = "pictures" if isinstance(pictures, Splits) else os.fspath(pictures)
    wanted = Settings(data=where, model=os.fspath(model), **settings)
    reporter = reporter or Reporter()
    splits = pictures if isinstance(pictures, Splits) else data.open_data(where)
    if classes not in (None, len(splits.classes)):
        raise ValueError(f"classes={classes!r}: {wanted.data} has {len(splits.classes)}")
    warnings = data.warnings_of(splits)
    for warning in warnings[:_MOST_WARNINGS]:
        reporter.say(f"warning: {warning}")
    if len(warnings) > _MOST_WARNINGS:
        reporter.say(f"warning: and {len(warnings) - _MOST_WARNINGS} more")
    splits, broken = readable(splits, reporter)
    splits = with_validation(splits, wanted)
    folder = RunFolder(out)
    config = {
        "settings": wanted.to_dict(),
        "data": facts(splits),
        "versions": {
            "keras_effnets": VERSION,
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "python": platform.python_version(),
        },
    }
    # Before anything asks for a device: JAX's processes meet first.
    keras.utils.set_random_seed(wanted.seed)
    workers = workers_for(wanted.distribute, processes)
    workers.check(wanted.batch_size)
    try:
        with computing(wanted), workers.computing():
            run = _Run(wanted, splits, folder, reporter, workers)
            best = run.go(config)
    except Exception as error:  # JAX's own errors are of many types
        if processes and is_lost_peer(error):
            raise PeerLostError(error) from error
        raise
    return run.conclude(best, config, broken) if workers.is_chief else None


class _Run:
    """One run in one process: the model, and where it stands."""

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
        self.model = prepared(settings, splits.classes)
        self.kept = Kept(Progress(), [])
        self._saved: dict[str, Values] | None = None
        # What is wrong with these shows now, before the folder is made.
        unfreeze(self.model, since=settings.tune_since)
        for augment in (settings.head_augment, settings.tune_augment):
            check_augmentations(augment)

    def go(self, config: dict[str, Any]) -> Values:
        """Trains from where the folder says that the run is; returns the best weights."""
        if self.workers.is_chief:
            with self.folder.claim(config):
                self._resume()
                self.train()
        else:
            self._resume()
            self.train()
        return values_of(self.model.variables)

    def _resume(self) -> None:
        """Takes over what the folder holds of this run."""
        state = read_state(self.folder.state)
        self.workers.wait("the state is read")
        if state is None:
            return
        self.kept.progress, self._saved = state
        self.kept.best = self._saved.pop("best")
        done = self.kept.progress
        self.reporter.say(f"going on after epoch {done.epoch} of stage {done.stage}")

    def train(self) -> None:
        """Runs what is left of both stages, and leaves the best weights in the model."""
        settings, at = self.settings, self.kept.progress.stage
        freeze(self.model)
        stages = Stages(self.model, settings, self.splits, self.workers, self.folder, self.reporter)
        if settings.head_epochs and at != "tune":
            self._run(stages.head())
        if settings.tune_epochs:
            unfreeze(self.model, since=settings.tune_since)
            self._run(stages.tune())

    def _run(self, stage: Stage) -> None:
        run_stage(stage, self.settings, self.kept, self._saved, self._save, self.reporter)
        self._saved = None

    def _save(self, groups: dict[str, Values]) -> None:
        if not self.workers.is_chief:
            return
        write_state(self.folder.state, self.kept.progress, {**groups, "best": self.kept.best})
        self.folder.write_table(self.folder.metrics, self.kept.progress.history)

    def conclude(self, best: Values, config: dict[str, Any], broken: Sequence[Broken]) -> Outcome:
        """Writes the model and the report; in float32, on this process's own device."""
        log.disabled = True  # it has said once what starts untrained
        try:
            model = prepared(self.settings, self.splits.classes)
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
        judged = getattr(self.splits, part) or self.splits.train
        if judged is self.splits.train:
            part = "training"
        scores = self._scores(best, judged, part)
        return write_report(
            self.folder,
            Outcome(
                model=best,
                folder=self.folder.path,
                part=part,
                pictures=judged,
                scores=scores,
                history=tuple(self.kept.progress.history),
                broken=tuple(broken),
                settings=self.settings,
                train=len(self.splits.train),
                validation=len(self.splits.validation or ()),
            ),
        )

    def _scores(self, model: Any, pictures: Pictures, part: str) -> NDArray[np.float32]:
        rows = []
        with self.reporter.bar(f"{part} pictures", len(pictures)) as advance:
            for outcome in predict_images(model, map(Path, pictures.paths)):
                if outcome.scores is None:
                    raise ValueError(outcome.error)
                rows.append(outcome.scores)
                advance(1)
        return np.stack(rows)
