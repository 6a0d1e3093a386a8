"""The two stages of a run: what is trained on which batches, and how fast."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets import data
from keras_effnets.data import Pictures, Splits
from keras_effnets.images.model_interface import model_preset
from keras_effnets.models.surgery import body
from keras_effnets.training.features import MAX_BYTES, body_features, feature_batches
from keras_effnets.training.learning import Stage
from keras_effnets.training.optimizer import layer_decay
from keras_effnets.training.progress import Reporter
from keras_effnets.training.run_folder import RunFolder
from keras_effnets.training.settings import Settings
from keras_effnets.training.workers import Workers


class Stages:
    """The stages of one model, made when their turn comes.

    Args:
        model: Frozen as far as the stage wants it.
        settings: Rates, epochs, augmentations.
        splits: The pictures to learn from, and those held out.
        workers: Who has which share of them.
        folder: Where features are kept.
        reporter: Hears how computing them goes.
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

    def head(self) -> Stage:
        """Stage one: a new classifier on the frozen body."""
        if self._can_cache():
            return self._cached_head()
        return self._head_stage(
            self.model, self._batches(self.settings.head_augment), self._held_out_pictures()
        )

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
            body_features(features_of, train, self.folder.features("train"), self.reporter),
            _one_hot(train),
            settings.batch_size,
            weights=None if weights is None else weights[train.targets],
        )

        def shuffled(epoch: int) -> Any:
            order = np.random.default_rng((settings.seed, epoch)).permutation(len(train))
            return batches(self.workers.even_order(order))

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

    def _head_stage(self, model: Any, batches: Callable[[int], Any], validation: Any) -> Stage:
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

    def tune(self) -> Stage:
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


def _one_hot(pictures: Pictures) -> NDArray[np.float32]:
    return np.eye(len(pictures.classes), dtype=np.float32)[pictures.targets]
