"""From pictures of any kind to named classes, with one of several engines."""

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

from keras_effnets.export.calibration import Pictures
from keras_effnets.export.runtimes import ENGINES, cores, require
from keras_effnets.images.labels import Prediction, decode_predictions
from keras_effnets.images.preprocessing import fit_image, load_image
from keras_effnets.images.preset import Preset
from keras_effnets.prediction.engines import Network, is_artifact, live, open_artifact
from keras_effnets.prediction.evaluation import Scored, model_preset, score_pictures
from keras_effnets.prediction.export_cache import PRECISIONS, exported
from keras_effnets.prediction.fastest import fastest

Array = NDArray[np.float32]
Picture: TypeAlias = str | os.PathLike[str] | bytes | NDArray[Any] | Image.Image


class Predictor:
    """Names what is in pictures, fast: safe to share between threads.

    A live model is exported for the engine once, checked against the model, and kept in the cache
    (`KERAS_EFFNETS_HOME`) by its weights; the next `Predictor` of it starts at once. "auto"
    measures the engines that are installed, the first time it sees an architecture, and takes the
    fastest at one picture; that too is kept. "keras" runs the live model as it is.

    Args:
        model: A live classifier of RGB pictures with a preset, as the builders of this package
            make; or the path of a .keras file, or of what `keras-effnets export` wrote.
        engine: "auto", "tensorflow", "litert", "onnxruntime", "openvino" or "keras". An exported
            file has its own.
        precision: Of a live model: "float32", which is forced where an engine would choose less;
            "bfloat16" (OpenVINO, where the CPU has it); "int8" (LiteRT, OpenVINO), with
            `calibration`; "float16" and "dynamic" (LiteRT).
        calibration: For "int8": real pictures, a folder, files or an array of pixels 0-255.
        batch_size: Pictures that the engine gets at once, at most.
        threads: To compute and to decode with; None for as many as there are cores. What
            TensorFlow computes with is set for the whole process, by TensorFlow.

    Attributes:
        engine: What runs it.
        precision: Of its arithmetic.
        preset: How it wants its pictures.
        labels: The classes' names; None where the model has none.

    Raises:
        ValueError: For an argument that does not do, or a model that is no such classifier.
        FileNotFoundError: If there is no such file.
        ImportError: If the engine is not installed; the message has the line that installs it.
        ParityError: If what was exported does not give what the model gives.
    """

    def __init__(
        self,
        model: keras.Model | str | os.PathLike[str],
        engine: str = "auto",
        *,
        precision: str = "float32",
        calibration: Pictures | None = None,
        batch_size: int = 16,
        threads: int | None = None,
    ) -> None:
        if engine not in ("auto", *PRECISIONS):
            raise ValueError(f"engine={engine!r}: expected one of {('auto', *PRECISIONS)}")
        if batch_size < 1:
            raise ValueError(f"batch_size={batch_size!r}: expected 1 or more")
        self._threads = cores(threads)
        self._batch_size = batch_size
        self._network = _network(model, engine, precision, calibration, threads)
        self.engine = self._network.engine
        self.precision = self._network.precision
        self.preset: Preset = self._network.preset
        self.labels = self._network.labels

    def __call__(self, pictures: Picture | Sequence[Picture], top: int = 5) -> Any:
        """Names what is in pictures.

        Args:
            pictures: One, or several: paths, the bytes of files, Pillow images, or arrays
                (H, W, 3) of pixels 0-255; (B, H, W, 3) is several. All are resized and cropped as
                the preset says.
            top: Classes to name, at most.

        Returns:
            For each picture a list of `Prediction`, best first; for one picture that list.

        Raises:
            ValueError: If a picture can't be read, or `top` is below 1.
            OSError: If there is no such file.
        """
        one = isinstance(pictures, str | os.PathLike | bytes | Image.Image) or (
            isinstance(pictures, np.ndarray) and pictures.ndim == 3
        )
        several: Sequence[Any] = [pictures] if one else pictures  # type: ignore[assignment]
        named = list(self._named(several, top))
        return named[0] if one else named

    def scores(self, batch: NDArray[Any]) -> Array:
        """Runs the engine alone.

        Args:
            batch: (B, crop, crop, 3) pixels 0-255, of any type; `preset.crop` is the side.

        Returns:
            (B, classes), what the model gives; a softmax is added to logits.

        Raises:
            ValueError: For another shape.
        """
        wanted = (self.preset.crop, self.preset.crop, 3)
        pixels = np.ascontiguousarray(batch, np.float32)
        if pixels.ndim != 4 or pixels.shape[1:] != wanted or not len(pixels):
            raise ValueError(f"batch has shape {pixels.shape}: expected (B, {wanted})")
        outputs = np.asarray(self._network.run(self._network.prepare(pixels)), np.float32)
        return _softmax(outputs) if self._network.logits else outputs

    def files(self, paths: Iterable[Path], *, workers: int | None = None) -> Iterator[Scored]:
        """Runs over any number of files, in their order; threads decode ahead.

        Args:
            paths: Read as they are needed; at most three batches of pictures are in memory.
            workers: Threads that decode.

        Yields:
            One record a path: a broken file has no scores and says why.
        """
        workers = min(8, self._threads) if workers is None else workers
        yield from score_pictures(
            self.scores, self.preset, paths, batch_size=self._batch_size, workers=workers
        )

    def named(self, outcome: Scored, top: int = 5) -> list[Prediction]:
        """The best classes of one record of `files`; none of a broken file."""
        return [] if outcome.scores is None else self._decoded(outcome.scores[None], top)[0]

    def _named(self, pictures: Sequence[Picture], top: int) -> Iterator[list[Prediction]]:
        with ThreadPoolExecutor(min(8, self._threads)) as pool:
            for start in range(0, len(pictures), self._batch_size):
                group = pictures[start : start + self._batch_size]
                # One picture gains nothing from a thread of its own.
                read = pool.map(self._pixels, group) if len(group) > 1 else map(self._pixels, group)
                yield from self._decoded(self.scores(np.stack(list(read))), top)

    def _decoded(self, scores: Array, top: int) -> list[list[Prediction]]:
        return decode_predictions(scores, min(top, scores.shape[-1]), self.labels)

    def _pixels(self, picture: Picture) -> Array:
        if isinstance(picture, np.ndarray):
            return fit_image(_image(picture), self.preset)
        if isinstance(picture, Image.Image):
            return fit_image(picture.convert("RGB"), self.preset)
        return load_image(picture, self.preset)


def _network(
    model: Any, engine: str, precision: str, calibration: Pictures | None, threads: int | None
) -> Network:
    if isinstance(model, str | os.PathLike):
        path = Path(model).expanduser()
        if is_artifact(path):
            return open_artifact(path, engine, threads)
        if path.suffix != ".keras":
            raise ValueError(
                f"model={str(model)!r}: expected a keras.Model, or a path that ends in .keras, "
                ".tflite, .onnx or .xml, or that of a SavedModel"
            )
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file")
        model = keras.saving.load_model(path, compile=False)
    model_preset(model)  # refuses what is no classifier of pictures

    def opened(name: str) -> Network:
        _check(name, precision)
        if name in ("keras", "tensorflow"):
            return live(model, name)
        return open_artifact(exported(model, name, precision, calibration), name, threads)

    return opened(fastest(model, precision, threads, opened) if engine == "auto" else engine)


def _check(engine: str, precision: str) -> None:
    if precision not in PRECISIONS[engine]:
        raise ValueError(
            f"precision={precision!r}: engine {engine!r} computes in {PRECISIONS[engine]}"
        )
    if engine in ENGINES:
        require(ENGINES[engine].module, extra=ENGINES[engine].extra)


def _image(pixels: NDArray[Any]) -> Image.Image:
    if pixels.ndim != 3 or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise ValueError(f"a picture has shape {pixels.shape}: expected (H, W, 3), pixels 0-255")
    if pixels.dtype == bool or not np.can_cast(pixels.dtype, np.float32, "same_kind"):
        raise ValueError(f"a picture has type {pixels.dtype}: expected pixels 0-255")
    return Image.fromarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
