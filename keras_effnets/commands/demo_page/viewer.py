"""One network behind the page: the classes that it names, and where it sees one of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple

import numpy as np
from PIL import Image

from keras_effnets.analysis.seeing import GradCAM, overlay
from keras_effnets.images.class_names import Prediction, decode_predictions
from keras_effnets.images.preprocessing import load_image
from keras_effnets.prediction import Predictor

TOP = 5


class Answer(NamedTuple):
    """What a network makes of a picture."""

    indices: list[int]
    """Of the likeliest classes, the first one first."""
    predictions: list[Prediction]
    """Of the same classes."""
    picture: Image.Image
    """As the network sees it."""
    milliseconds: float
    """That the network took, decoding and waiting left out."""


class Heat(NamedTuple):
    """Where a network sees a class."""

    picture: Image.Image
    """With the heat over it."""
    milliseconds: float


class Viewer:
    """A network, ready to answer; threads may share it.

    All viewers compute one after the other, decoding included: so a picture has all cores, its
    time is its own, and of large pictures one is in memory at a time.

    Args:
        model: A classifier of ours.
        engine: That names the classes, as `Predictor` takes it; the heat is Keras's own.

    Raises:
        ValueError: For a model that takes no pictures or has no classifier, or no such engine.
        ImportError: If the engine is not installed.
        ParityError: If the engine does not give what the model gives.
    """

    _turn: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, model: Any, engine: str = "auto") -> None:
        self._cam = GradCAM(model)
        self._predictor = Predictor(model, engine)
        self.engine, self.preset = self._predictor.engine, self._predictor.preset
        self.classes: int = model.output_shape[-1]
        nothing = np.zeros((self.preset.crop, self.preset.crop, 3), np.float32)
        with self._turn:  # what is compiled is compiled now, and not for the first picture
            self._predictor.scores(nothing[None])
            self._cam(nothing, 0)

    def answer(self, source: bytes) -> Answer:
        """Names what is in a picture.

        Args:
            source: The bytes of its file.

        Raises:
            ValueError: If it is none.
        """
        with self._turn:
            pixels = load_image(source, self.preset)
            with _timed() as taken:
                scores = self._predictor.scores(pixels[None])[0]
        count = min(TOP, self.classes)
        indices = np.argsort(-scores, kind="stable")[:count].tolist()
        (predictions,) = decode_predictions(scores[None], count, self._predictor.labels)
        return Answer(indices, predictions, Image.fromarray(pixels.astype(np.uint8)), taken[0])

    def heat(self, source: bytes, class_: int) -> Heat:
        """Shows where in a picture the network sees a class.

        Raises:
            ValueError: If the bytes are no picture, or there is no such class.
        """
        with self._turn:
            pixels = load_image(source, self.preset)
            with _timed() as taken:
                heat = self._cam(pixels, class_)
        return Heat(overlay(pixels, heat), taken[0])


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Puts the milliseconds that the block took into the list that it yields."""
    taken: list[float] = []
    start = time.perf_counter()
    yield taken
    taken.append(1000 * (time.perf_counter() - start))
