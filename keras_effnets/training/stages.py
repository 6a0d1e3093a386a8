"""The two stages of a run: the head alone, then the last stages of the body as well."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.data import Pictures, Splits, batches
from keras_effnets.images.model_interface import model_preset
from keras_effnets.models.surgery import body, layer_decay
from keras_effnets.training.cached_features import MAX_BYTES, body_features, feature_batches
from keras_effnets.training.progress import Reporter
from keras_effnets.training.run_folder import RunFolder
from keras_effnets.training.settings import Settings
from keras_effnets.training.training_loop import TrainingStage
from keras_effnets.training.workers import Workers


class Stages:
    """Makes the stages of one model, each when it begins.

    Args:
        model: The model; its caller freezes and unfreezes its layers.
        settings: The run's settings.
        splits: The images.
        workers: The devices and processes that share them.
        folder: The run's folder, where features are cached.
        reporter: Receives the progress of computing features.
    """

    def __init__(
        self,
        model: Any,
        settings: Settings,
        splits: Splits,
        workers: Workers,
        folder: RunFolder,
        reporter: Reporter,
    ) -> None:
        self.model, self.settings, self.splits = model, settings, splits
        self.workers, self.folder, self.reporter = workers, folder, reporter
        self.preset = model_preset(model)

    def head(self) -> TrainingStage:
        """Stage one: trains a new classifier on the frozen body."""
        if self._can_cache():
            return self._cached_head()
        return self._head_stage(
            self.model, self._batches(self.settings.head_augment), self._held_out_pictures()
        )

    def _can_cache(self) -> bool:
        pictures = len(self.splits.train) + len(self.splits.validation or ())
        shape = body(self.model).output_shape[1:]
        fits = None not in shape and 4 * pictures * math.prod(shape) <= MAX_BYTES
        # With several processes, each one would need all features.
        alone = self.workers.shard == (0, 1)
        return alone and fits and not self.settings.head_augment

    def _cached_head(self) -> TrainingStage:
        """Stage one on features computed once."""
        settings, train, validation = self.settings, self.splits.train, self.splits.validation
        features_of = body(self.model)
        inputs = keras.Input(features_of.output_shape[1:], name="features")
        head = keras.Model(inputs, self.model.get_layer("classifier")(inputs), name="head")
        weights = self._class_weights()
        train_batches = feature_batches(
            body_features(features_of, train, self.folder.features("train"), self.reporter),
            _one_hot(train),
            settings.batch_size,
            weights=None if weights is None else weights[train.targets],
        )

        def shuffled(epoch: int) -> Any:
            order = np.random.default_rng((settings.seed, epoch)).permutation(len(train))
            return train_batches(self.workers.even_order(order))

        held_out = None
        if validation is not None:
            path = self.folder.features("validation")
            in_order = feature_batches(
                body_features(features_of, validation, path, self.reporter),
                _one_hot(validation),
                settings.batch_size,
            )
            held_out = in_order(self.workers.even_order(np.arange(len(validation))))
        return self._head_stage(head, shuffled, held_out)

    def _head_stage(
        self, model: Any, batches: Callable[[int], Any], validation: Any
    ) -> TrainingStage:
        return TrainingStage(
            name="head",
            model=model,
            batches=batches,
            validation=validation,
            pictures=len(self.splits.train),
            epochs=self.settings.head_epochs,
            rate=self.settings.head_rate,
            factors={},
        )

    def tune(self) -> TrainingStage:
        """Stage two: also trains the last stages of the body, earlier layers more slowly."""
        return TrainingStage(
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

        def epoch_batches(epoch: int) -> Any:
            dataset = batches(
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

        return epoch_batches

    def _held_out_pictures(self) -> Any:
        validation = self.splits.validation
        if validation is None:
            return None
        return batches(
            self.workers.even(validation),
            self.preset,
            batch_size=self.settings.batch_size,
            shard=self.workers.shard,
        )

    def _class_weights(self) -> NDArray[np.float32] | None:
        if self.settings.class_weights == "none":
            return None
        train = self.splits.train
        counts = train.counts()
        present = np.count_nonzero(counts)
        return (len(train) / present / np.maximum(counts, 1)).astype(np.float32)


def _one_hot(pictures: Pictures) -> NDArray[np.float32]:
    return np.eye(len(pictures.classes), dtype=np.float32)[pictures.targets]
