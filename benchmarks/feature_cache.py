"""Trains a head for five epochs on cached features, against `fit` through the frozen body.

Usage: python benchmarks/feature_cache.py FOLDER

FOLDER holds train and test folders of class folders. Both ways start with EfficientNet-Lite0 in
memory and the images' paths, decode with the same number of threads, and end with a trained head;
the time includes tracing their graphs. The peer is typical user code for Keras. Ours also saves
its state after each epoch.
"""

import argparse
import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from measure import machine

from keras_effnets import EfficientNetLite0, data, finetune, freeze, reset_classifier
from keras_effnets.images.model_interface import model_preset
from keras_effnets.training import Reporter

EPOCHS, BATCH, RATE = 5, 32, 3e-3


class Clock(Reporter):
    """Notes when the body starts on the images and when each message comes."""

    begin = end = 0.0

    def say(self, message: str) -> None:
        """Notes the time of the message."""
        self.end = time.perf_counter()

    @contextmanager
    def bar(self, what: str, pictures: int):
        """Notes when computing features begins."""
        if what == "features" and not self.begin:
            self.begin = time.perf_counter()
        yield lambda done: None


def cached(folder: Path) -> tuple[float, int]:
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        outcome = finetune(
            folder, model="efficientnet_lite0", out=out, head_epochs=EPOCHS, head_rate=RATE,
            tune_epochs=0, batch_size=BATCH, validation=0.0, patience=EPOCHS, reporter=clock,
        )  # fmt: skip
    return clock.end - clock.begin, outcome.correct


def through_the_body(folder: Path) -> tuple[float, int]:
    splits = data.open_data(folder)
    body = EfficientNetLite0(weights="imagenet")
    model = reset_classifier(body, len(splits.classes), seed=0)
    freeze(model)
    preset = model_preset(model)
    model.compile(
        keras.optimizers.AdamW(RATE),
        keras.losses.CategoricalCrossentropy(label_smoothing=0.1),
        metrics=["accuracy"],
        jit_compile=False,
    )
    train = data.batches(splits.train, preset, batch_size=BATCH, training=True)
    start = time.perf_counter()
    model.fit(train, epochs=EPOCHS, verbose=0, shuffle=False)
    seconds = time.perf_counter() - start
    scores = model.predict(data.batches(splits.test, preset, batch_size=BATCH), verbose=0)
    return seconds, int((scores.argmax(axis=1) == splits.test.targets).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(machine())
    ways = {"cached": cached, "through the body": through_the_body}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    right = {}
    for _ in range(options.runs):
        for name, way in ways.items():
            taken, right[name] = way(options.folder)
            seconds[name].append(taken)
    ratios = np.divide(seconds["through the body"], seconds["cached"])
    for name in ways:
        print(
            f"{name}: {statistics.median(seconds[name]):.1f} s, {right[name]} test images correct"
        )
    print(
        f"{EPOCHS} epochs, cached {np.median(ratios):.2f} times as fast "
        f"({ratios.min():.2f} to {ratios.max():.2f})"
    )


if __name__ == "__main__":
    main()
