"""The steps that all file formats share: fold, convert, run, compare, and only then keep."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.export.artifact import Artifact, beside
from keras_effnets.export.frozen_graph import image_shape
from keras_effnets.export.parity import (
    ParityError,
    compare,
    probe_images,
    reference_outputs,
)
from keras_effnets.export.runtimes import Session
from keras_effnets.models.surgery import fold_batch_norm

TOLERANCE = 1e-3
"""The tolerance of float32: the largest difference over the largest logit, or over the largest
output if the outputs are not probabilities."""


def new_file(path: str | os.PathLike[str], suffix: str) -> Path:
    """Checks the path of a file before it is written, and returns it.

    Raises:
        ValueError: The path has another suffix.
        FileNotFoundError: The folder does not exist.
        PermissionError: The folder can't be written to.
    """
    target = Path(path).expanduser()
    if target.suffix.lower() != suffix:
        raise ValueError(f"path={str(path)!r}: expected a path ending in {suffix}")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target}: there is no folder {target.parent}")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{target}: the folder {target.parent} can't be written to")
    return target


def export_checked(
    model: keras.Model,
    target: Path,
    *,
    kind: str,
    precision: str,
    convert: Callable[[keras.Model, Path], dict[str, Any] | None],
    load: Callable[[Path], Session],
    tolerance: float | None = TOLERANCE,
    pictures: NDArray[Any] | None = None,
) -> Artifact:
    """Exports to a temporary folder, and moves the files to their place if the outputs agree.

    Args:
        model: The model to export.
        target: The path of the file.
        kind: The format, as in `Artifact`.
        precision: The precision, as in `Artifact`.
        convert: Takes the folded model and a path; writes the file, and further files under the
            same stem; returns further attributes of the `Artifact`.
        load: Opens the file in its own runtime.
        tolerance: As in `parity.compare`.
        pictures: The images to compare on, (B, H, W, C), as the model takes them; None uses
            `probe_images`.

    Raises:
        ParityError: The outputs differ from the model's; nothing is written.
        ValueError: The images have another shape, or the model cannot be exported.
    """
    shape = image_shape(model)
    if pictures is None:
        pictures = probe_images(shape)
    pictures = np.asarray(pictures, np.float32)
    if pictures.ndim != 4 or pictures.shape[1:] != shape or not len(pictures):
        raise ValueError(f"pictures have shape {pictures.shape}: expected (B, {shape})")
    reference = reference_outputs(model, pictures)
    folded = fold_batch_norm(model)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
        made = Path(folder) / target.name
        try:
            more = convert(folded, made) or {}
            outputs = load(made).scores(pictures)
            parity = compare(reference, outputs, tolerance=tolerance, exact=precision == "float32")
        except ParityError as error:
            raise ParityError(f"{target.name}: {error}; the file was not kept") from error
        files = sorted(Path(folder).iterdir(), key=lambda file: file == made)
        size = sum(file.stat().st_size for file in files)
        artifact = Artifact.of(
            model, format=kind, precision=precision, parity=parity, bytes=size, **more
        )
        artifact.write(beside(made))
        for file in (beside(made), *files):  # the model last, so that it is never incomplete
            os.replace(file, target.with_name(file.name))
    return artifact
