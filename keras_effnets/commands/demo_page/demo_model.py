"""One network of the demo page: the classes it predicts, and where it sees one of them."""

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
    """How a network classifies an image."""

    indices: list[int]
    """Indices of the likeliest classes, best first."""
    predictions: list[Prediction]
    """Names and scores of the same classes."""
    picture: Image.Image
    """The image as the network sees it: resized and cropped."""
    milliseconds: float
    """Time of the network alone, without decoding and waiting."""


class Heat(NamedTuple):
    """Where a network sees a class."""

    picture: Image.Image
    """The image with the heat map over it."""
    milliseconds: float


class DemoModel:
    """A network with its prediction engine and Grad-CAM; threads may share it.

    All instances compute one at a time, decoding included: each image gets all cores, its time is
    its own, and only one large image is in memory at a time.

    Args:
        model: A classifier of this package.
        engine: The `Predictor` engine that computes the scores. Keras computes the heat map.

    Raises:
        ValueError: If the model does not classify images, or the engine is unknown.
        ImportError: If the engine is not installed.
        ParityError: If the engine's outputs differ from the model's.
    """

    _turn: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, model: Any, engine: str = "auto") -> None:
        self._cam = GradCAM(model)
        self._predictor = Predictor(model, engine)
        self.engine, self.preset = self._predictor.engine, self._predictor.preset
        self.classes: int = model.output_shape[-1]
        blank = np.zeros((self.preset.crop, self.preset.crop, 3), np.float32)
        with self._turn:  # compile now, not for the first image
            self._predictor.scores(blank[None])
            self._cam(blank, 0)

    def answer(self, source: bytes) -> Answer:
        """Classifies an image.

        Args:
            source: The bytes of an image file.

        Raises:
            ValueError: If they can't be read as an image.
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
        """Shows where in an image the network sees a class.

        Raises:
            ValueError: If the bytes can't be read as an image, or the class does not exist.
        """
        with self._turn:
            pixels = load_image(source, self.preset)
            with _timed() as taken:
                heat = self._cam(pixels, class_)
        return Heat(overlay(pixels, heat), taken[0])


@contextmanager
def _timed() -> Iterator[list[float]]:
    """Appends the milliseconds that the block took to the list it yields."""
    taken: list[float] = []
    start = time.perf_counter()
    yield taken
    taken.append(1000 * (time.perf_counter() - start))
