"""`keras-effnets predict --out`: predictions for any number of images, in one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from keras_effnets.commands.options import open_model
from keras_effnets.commands.terminal import progress
from keras_effnets.images.folders import iterate_images
from keras_effnets.prediction import Predictor
from keras_effnets.prediction.engines import is_artifact
from keras_effnets.prediction.export_cache import artifact_digest, weights_digest
from keras_effnets.prediction.on_ray import predict_on_ray
from keras_effnets.prediction.to_parquet import Job, Parts, errors
from weights_tools.formats.terminal import complain

_MAX_SHOWN = 20
"""Number of broken files named on the terminal; the Parquet file lists them all."""


def open_model_or_artifact(name: str, weights: str | None) -> Any:
    """Returns the path of an exported model, or the model that `--model` names.

    Raises:
        ValueError: For an unknown name, a file that is not a classifier of images, or weights
            that are unknown or don't fit.
        FileNotFoundError: If a file does not exist.
    """
    if not _is_exported(name):
        return open_model(name, weights)
    if weights is not None:
        raise ValueError(f"--weights {weights!r}: {name} has its own weights; omit --weights")
    return Path(name)


def engine_name(name: str, engine: str | None, default: str = "keras") -> str:
    """Returns the engine asked for; else "auto" for an exported model, or the default."""
    return engine or ("auto" if _is_exported(name) else default)


def _is_exported(name: str) -> bool:
    path = Path(name)
    return is_artifact(path) and not (path / "best.keras").is_file()


def predict_to_parquet(
    images: list[str],
    out: Path,
    *,
    model: str,
    weights: str | None,
    top: int,
    batch: int,
    engine: str | None,
    ray: int | None,
) -> None:
    """Writes the predictions for all images. Exits 1 if an image could not be read."""
    opened = open_model_or_artifact(model, weights)
    digest = artifact_digest(opened) if isinstance(opened, Path) else weights_digest(opened)
    job = Job(tuple(str(Path(each).absolute()) for each in images), digest, top)
    parts = Parts(out, job, lambda: iterate_images(images))
    predictor = Predictor(opened, engine_name(model, engine, "auto"), batch_size=batch)
    missing = parts.missing()
    remaining = sum(map(parts.size, missing))
    if remaining < parts.images:
        complain(f"resuming: {parts.images - remaining} of {parts.images} images are done")
    with progress("Predicting", remaining, hidden_up_to=batch) as advance:
        if ray is None:
            for number in missing:
                parts.make(number, predictor, advance)
        else:
            source, options = _for_workers(opened, parts, predictor.engine, batch)

            def advance_by(done: int) -> None:
                for _ in range(done):
                    advance()

            predict_on_ray(parts, source, options, ray, advance_by)
    pictures, broken = parts.images, parts.finish()
    for number, error in enumerate(errors(out) if broken else ()):
        if number == _MAX_SHOWN:
            complain(f"… and {broken - _MAX_SHOWN} more")
            break
        complain(error)
    complain(f"wrote {out}: {pictures - broken} images classified, {broken} could not be read")
    if broken:
        raise typer.Exit(1)


def _for_workers(opened: Any, parts: Parts, engine: str, batch: int) -> tuple[str, dict[str, Any]]:
    """Returns the path of a model that workers can open, and their `Predictor` options.

    A Keras model is saved among the job's parts; an exported model is on disk already.
    """
    options = {"batch_size": batch, "threads": 1, "engine": engine}
    if isinstance(opened, Path):
        return str(opened), options
    path = parts.folder / "model.keras"
    opened.save(path)
    return str(path), options
