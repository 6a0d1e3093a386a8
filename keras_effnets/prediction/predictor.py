"""Images of any kind to named classes, on one of several engines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_effnets.export.calibration import CalibrationImages
from keras_effnets.export.runtimes import ENGINES, cores, require
from keras_effnets.images.class_names import Prediction, decode_predictions
from keras_effnets.images.model_interface import model_preset, softmax
from keras_effnets.images.preprocessing import fit_image, load_image
from keras_effnets.images.preset import Preset
from keras_effnets.prediction.engines import RunnableModel, is_artifact, open_artifact, open_model
from keras_effnets.prediction.evaluation import Scored, score_images
from keras_effnets.prediction.export_cache import PRECISIONS, cached_export
from keras_effnets.prediction.fastest_engine import fastest_engine

AnyImage: TypeAlias = str | os.PathLike[str] | bytes | NDArray[Any] | Image.Image


class Predictor:
    """Classifies images fast; safe to share between threads.

    A live model is exported for the engine once, checked against the model, and cached
    (`KERAS_EFFNETS_HOME`) by its weights, so that its next `Predictor` starts at once. "auto"
    measures the installed engines the first time it sees an architecture, uses the one that is
    fastest at a single image, and caches that choice too. "keras" runs the live model as it is.

    Args:
        model: A live classifier of RGB images with a preset, as the builders of this package
            make; or the path of a .keras file or of a model written by `keras-effnets export`.
        engine: "auto", "tensorflow", "litert", "onnxruntime", "openvino" or "keras". The format of
            an exported model determines its engine.
        precision: For a live model: "float32", which is forced where an engine would choose less;
            "bfloat16" (OpenVINO, where the CPU has it); "int8" (LiteRT, OpenVINO), with
            `calibration`; "float16" and "dynamic" (LiteRT).
        calibration: For "int8": real images, as a folder, files or an array of pixels 0-255.
        batch_size: The most images that the engine gets at once.
        threads: Number of threads to compute and to decode with; None uses one per core.
            TensorFlow sets its own number for the whole process.

    Attributes:
        engine: The engine that runs the model.
        precision: The precision of its arithmetic.
        preset: How images are prepared for the model.
        labels: The class names; None if the model has none.

    Raises:
        ValueError: An argument is invalid, or the model is not a classifier of RGB images.
        FileNotFoundError: The file does not exist.
        ImportError: The engine is not installed; the message has the line that installs it.
        ParityError: The exported model's outputs differ from the model's.
    """

    def __init__(
        self,
        model: keras.Model | str | os.PathLike[str],
        engine: str = "auto",
        *,
        precision: str = "float32",
        calibration: CalibrationImages | None = None,
        batch_size: int = 16,
        threads: int | None = None,
    ) -> None:
        if engine not in ("auto", *PRECISIONS):
            raise ValueError(f"engine={engine!r}: expected one of {('auto', *PRECISIONS)}")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size!r}: expected 1 or more")
        self._threads = cores(threads)
        self._batch_size = batch_size
        self._model = _open(model, engine, precision, calibration, threads)
        self.engine = self._model.engine
        self.precision = self._model.precision
        self.preset: Preset = self._model.preset
        self.labels = self._model.labels

    def __call__(self, pictures: AnyImage | Sequence[AnyImage], top: int = 5) -> Any:
        """Names the best classes of images.

        Args:
            pictures: One image or several: paths, the bytes of files, Pillow images, or arrays
                (H, W, 3) of pixels 0-255; (B, H, W, 3) is several. All are resized and cropped as
                the preset says.
            top: The most classes to name.

        Returns:
            A list of `Prediction` per image, best first; for a single image, its list alone.

        Raises:
            ValueError: An image can't be read, or `top` is below 1.
            OSError: A file does not exist.
        """
        one = isinstance(pictures, str | os.PathLike | bytes | Image.Image) or (
            isinstance(pictures, np.ndarray) and pictures.ndim == 3
        )
        several: Sequence[Any] = [pictures] if one else pictures  # type: ignore[assignment]
        named = list(self._named(several, top))
        return named[0] if one else named

    def scores(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Runs the engine alone.

        Args:
            batch: (B, crop, crop, 3) pixels 0-255, of any type; `crop` is that of `preset`.

        Returns:
            (B, classes), the model's outputs; logits go through a softmax.

        Raises:
            ValueError: `batch` has another shape.
        """
        wanted = (self.preset.crop, self.preset.crop, 3)
        pixels = np.ascontiguousarray(batch, np.float32)
        if pixels.ndim != 4 or pixels.shape[1:] != wanted or not len(pixels):
            raise ValueError(f"batch has shape {pixels.shape}: expected (B, {wanted})")
        outputs = np.asarray(self._model.run(self._model.prepare(pixels)), np.float32)
        return softmax(outputs) if self._model.logits else outputs

    def files(self, paths: Iterable[Path], *, workers: int | None = None) -> Iterator[Scored]:
        """Runs over any number of files, in order; threads decode ahead.

        Args:
            paths: Read when needed; at most three batches of images are in memory.
            workers: Number of decoding threads; None uses `threads`, at most 8.

        Yields:
            One record per path; that of a broken file has an error and no scores.
        """
        workers = min(8, self._threads) if workers is None else workers
        yield from score_images(
            self.scores, self.preset, paths, batch_size=self._batch_size, workers=workers
        )

    def named(self, outcome: Scored, top: int = 5) -> list[Prediction]:
        """Names the best classes in a record of `files`; a broken file has none."""
        return [] if outcome.scores is None else self._decoded(outcome.scores[None], top)[0]

    def _named(self, images: Sequence[AnyImage], top: int) -> Iterator[list[Prediction]]:
        with ThreadPoolExecutor(min(8, self._threads)) as pool:
            for start in range(0, len(images), self._batch_size):
                group = images[start : start + self._batch_size]
                # A single image gains nothing from a thread of its own.
                read = pool.map(self._pixels, group) if len(group) > 1 else map(self._pixels, group)
                yield from self._decoded(self.scores(np.stack(list(read))), top)

    def _decoded(self, scores: NDArray[Any], top: int) -> list[list[Prediction]]:
        return decode_predictions(scores, min(top, scores.shape[-1]), self.labels)

    def _pixels(self, image: AnyImage) -> NDArray[Any]:
        if isinstance(image, np.ndarray):
            return fit_image(_from_pixels(image), self.preset)
        if isinstance(image, Image.Image):
            return fit_image(image.convert("RGB"), self.preset)
        return load_image(image, self.preset)


def _open(
    model: Any,
    engine: str,
    precision: str,
    calibration: CalibrationImages | None,
    threads: int | None,
) -> RunnableModel:
    if isinstance(model, str | os.PathLike):
        path = Path(model).expanduser()
        if is_artifact(path):
            return open_artifact(path, engine, threads)
        if path.suffix != ".keras":
            raise ValueError(
                f"model={str(model)!r}: expected a keras.Model, a path that ends in .keras, "
                ".tflite, .onnx or .xml, or the folder of a SavedModel"
            )
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file")
        model = keras.saving.load_model(path, compile=False)
    model_preset(model)  # refuses any model but a classifier of images

    def opened(name: str) -> RunnableModel:
        _check(name, precision)
        if name in ("keras", "tensorflow"):
            return open_model(model, name)
        return open_artifact(cached_export(model, name, precision, calibration), name, threads)

    if engine == "auto":
        engine = fastest_engine(model, precision, threads, opened)
    return opened(engine)


def _check(engine: str, precision: str) -> None:
    if precision not in PRECISIONS[engine]:
        raise ValueError(
            f"precision={precision!r}: engine {engine!r} computes in {PRECISIONS[engine]}"
        )
    if engine in ENGINES:
        require(ENGINES[engine].module, extra=ENGINES[engine].extra)


def _from_pixels(pixels: NDArray[Any]) -> Image.Image:
    if pixels.ndim != 3 or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise ValueError(f"an image has shape {pixels.shape}: expected (H, W, 3), pixels 0-255")
    if pixels.dtype == bool or not np.can_cast(pixels.dtype, np.float32, "same_kind"):
        raise ValueError(f"an image has type {pixels.dtype}: expected pixels 0-255")
    return Image.fromarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))
