"""A whole run: data, model, the two stages, the report; from the start or from where it stopped."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets import data
from keras_effnets.data import Broken, Pictures, Splits
from keras_effnets.data.augmentation import check_augmentations
from keras_effnets.evaluation import model_preset, predict_pictures
from keras_effnets.finetuning.features import MAX_BYTES, body_features, feature_batches
from keras_effnets.finetuning.folder import RunFolder
from keras_effnets.finetuning.learning import Kept, Stage, run_stage
from keras_effnets.finetuning.network import computing, prepared
from keras_effnets.finetuning.report import Outcome, write_report
from keras_effnets.finetuning.reporter import Reporter, log
from keras_effnets.finetuning.settings import Settings
from keras_effnets.finetuning.state import (
    Progress,
    Values,
    assign,
    read_state,
    values_of,
    write_state,
)
from keras_effnets.finetuning.subject import facts, readable, with_validation
from keras_effnets.finetuning.workers import (
    PeerLostError,
    Processes,
    Workers,
    is_lost_peer,
    workers_for,
)
from keras_effnets.optimizer import layer_decay
from keras_effnets.surgery import body, freeze, unfreeze
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
        **settings: Of `keras_effnets.finetuning.Settings`.

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
        self.preset = model_preset(self.model)
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
        if settings.head_epochs and at != "tune":
            self._run(self._cached_head() if self._can_cache() else self._whole_head())
        if settings.tune_epochs:
            unfreeze(self.model, since=settings.tune_since)
            self._run(self._tune())

    def _run(self, stage: Stage) -> None:
        run_stage(stage, self.settings, self.kept, self._saved, self._save, self.reporter)
        self._saved = None

    def _save(self, groups: dict[str, Values]) -> None:
        if not self.workers.is_chief:
            return
        write_state(self.folder.state, self.kept.progress, {**groups, "best": self.kept.best})
        self.folder.write_table(self.folder.metrics, self.kept.progress.history)

    def _can_cache(self) -> bool:
        pictures = len(self.splits.train) + len(self.splits.validation or ())
        shape = body(self.model).output_shape[1:]
        fits = None not in shape and 4 * pictures * math.prod(shape) <= MAX_BYTES
        # Several processes would each need all of them.
        alone = self.workers.shard == (0, 1)
        return alone and fits and not self.settings.head_augment

    def _cached_head(self) -> Stage:
        """Stage one on features that are computed once."""
        settings, train, validation = self.settings, self.splits.train, self.splits.validation
        features_of = body(self.model)
        inputs = keras.Input(features_of.output_shape[1:], name="features")
        head = keras.Model(inputs, self.model.get_layer("classifier")(inputs), name="head")
        weights = self._class_weights()
        batches = feature_batches(
            body_features(features_of, train, self._features("train"), self.reporter),
            _one_hot(train),
            settings.batch_size,
            weights=None if weights is None else weights[train.targets],
        )

        def shuffled(epoch: int) -> Any:
            order = np.random.default_rng((settings.seed, epoch)).permutation(len(train))
            return batches(self.workers.even_order(order))

        held_out = None
        if validation is not None:
            path = self._features("validation")
            in_order = feature_batches(
                body_features(features_of, validation, path, self.reporter),
                _one_hot(validation),
                settings.batch_size,
            )
            held_out = in_order(self.workers.even_order(np.arange(len(validation))))
        return self._head(head, shuffled, held_out)

    def _whole_head(self) -> Stage:
        """Stage one through the frozen body."""
        return self._head(
            self.model, self._batches(self.settings.head_augment), self._held_out_pictures()
        )

    def _head(self, model: Any, batches: Callable[[int], Any], validation: Any) -> Stage:
        return Stage(
            name="head",
            model=model,
            batches=batches,
            validation=validation,
            pictures=len(self.splits.train),
            epochs=self.settings.head_epochs,
            rate=self.settings.head_rate,
            factors={},
        )

    def _tune(self) -> Stage:
        """Stage two: the last stages of the body learn too, the earlier the slower."""
        return Stage(
            name="tune",
            model=self.model,
            batches=self._batches(self.settings.tune_augment),
            validation=self._held_out_pictures(),
            pictures=len(self.splits.train),
            epochs=self.settings.tune_epochs,
            rate=self.settings.tune_rate,
            factors=layer_decay(self.model, self.settings.layer_decay),
        )

    def _batches(self, augment: Sequence[str]) -> Callable[[int], Any]:
        weights = self._class_weights()

        def batches(epoch: int) -> Any:
            dataset = data.batches(
                self.workers.even(self.splits.train),
                self.preset,
                batch_size=self.settings.batch_size,
                augment=augment,
                training=True,
                seed=self.settings.seed,
                epoch=epoch,
                shard=self.workers.shard,
            )
            if weights is None:
                return dataset
            return dataset.map(lambda x, y: (x, y, keras.ops.sum(y * weights, axis=1)))

        return batches

    def _held_out_pictures(self) -> Any:
        validation = self.splits.validation
        if validation is None:
            return None
        return data.batches(
            self.workers.even(validation),
            self.preset,
            batch_size=self.settings.batch_size,
            shard=self.workers.shard,
        )

    def _class_weights(self) -> NDArray[np.float32] | None:
        if self.settings.class_weights == "none":
            return None
        train = self.splits.train
        counts = np.bincount(train.targets, minlength=len(train.classes))
        present = np.count_nonzero(counts)
        return (len(train) / present / np.maximum(counts, 1)).astype(np.float32)

    def _features(self, part: str) -> Path:
        return self.folder.path / f"features-{part}.npy"

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
            self._features(part).unlink(missing_ok=True)
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
            for outcome in predict_pictures(model, map(Path, pictures.paths)):
                if outcome.scores is None:
                    raise ValueError(outcome.error)
                rows.append(outcome.scores)
                advance(1)
        return np.stack(rows)


def _one_hot(pictures: Pictures) -> NDArray[np.float32]:
    return np.eye(len(pictures.classes), dtype=np.float32)[pictures.targets]
