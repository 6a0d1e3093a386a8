"""What every exporter of a file does: fold, convert, run, compare, and only then keep."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_effnets.export.artifact import Artifact, beside
from keras_effnets.export.frozen_graph import picture_shape
from keras_effnets.export.parity import (
    Array,
    ParityError,
    compare,
    probe_pictures,
    reference_outputs,
)
from keras_effnets.export.runtimes import Session
from keras_effnets.models.surgery import fold_batch_norm

TOLERANCE = 1e-3
"""Of float32: largest difference over the largest logit, or output where there are none."""


def new_file(path: str | os.PathLike[str], suffix: str) -> Path:
    """The path of a file that is to be made.

    Raises:
        ValueError: If it ends otherwise.
        FileNotFoundError: If there is no such folder.
        PermissionError: If the folder takes no file.
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
    pictures: Array | None = None,
) -> Artifact:
    """Makes an artifact beside its place, and moves it there once it has proved itself.

    Args:
        model: To export.
        target: Of the file.
        kind: One of `artifact.FORMATS`.
        precision: Of its arithmetic.
        convert: Gets the folded model and a path; writes the file, and what belongs to it under
            the same stem; gives what else the description should say.
        load: Opens the file in its own runtime.
        tolerance: Of `parity.compare`.
        pictures: To compare with, (B, H, W, C), as the model takes them; None for made ones.

    Raises:
        ParityError: If it does not give what the model gives; nothing is left of it then.
        ValueError: For pictures of another shape, or a model that cannot be exported.
    """
    shape = picture_shape(model)
    if pictures is None:
        pictures = probe_pictures(shape)
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
            raise ParityError(f"{target.name}: {error}; it was not kept") from error
        files = sorted(Path(folder).iterdir(), key=lambda file: file == made)
        size = sum(file.stat().st_size for file in files)
        artifact = Artifact.of(
            model, format=kind, precision=precision, parity=parity, bytes=size, **more
        )
        artifact.write(beside(made))
        for file in (beside(made), *files):  # the model itself last: it is not there without them
            os.replace(file, target.with_name(file.name))
    return artifact
