"""`keras-effnets predict --out`: any number of pictures into one Parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from keras_effnets.commands.options import open_model
from keras_effnets.commands.terminal import complain, progress
from keras_effnets.images.folders import iterate_images
from keras_effnets.prediction import Predictor
from keras_effnets.prediction.engines import is_artifact
from keras_effnets.prediction.export_cache import artifact_digest, weights_digest
from keras_effnets.prediction.on_ray import predict_on_ray
from keras_effnets.prediction.to_parquet import Job, Parts, errors

_SHOWN = 20
"""Broken files that are named on the terminal; the Parquet file has all."""


def open_any(name: str, weights: str | None) -> Any:
    """What a `Predictor` takes: the path of an exported model, or the model that `--model` names.

    Raises:
        ValueError: For a name, weights or a file that do not do.
        FileNotFoundError: If there is no such file.
    """
    path = Path(name)
    if not is_artifact(path) or (path / "best.keras").is_file():
        return open_model(name, weights)
    if weights is not None:
        raise ValueError(f"--weights {weights!r}: {name} brings its own; leave this out")
    return path


def chosen(name: str, engine: str | None, default: str = "keras") -> str:
    """The engine: as asked for, else the artifact's own, else the default."""
    path = Path(name)
    own = is_artifact(path) and not (path / "best.keras").is_file()
    return engine or ("auto" if own else default)


def predict_table(
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
    """Predicts all pictures into a Parquet file. Exits 1 if one of them could not be read."""
    opened = open_any(model, weights)
    digest = artifact_digest(opened) if isinstance(opened, Path) else weights_digest(opened)
    job = Job(tuple(str(Path(each).absolute()) for each in images), digest, top)
    parts = Parts(out, job, lambda: iterate_images(images))
    predictor = Predictor(opened, chosen(model, engine, "auto"), batch_size=batch)
    missing = parts.missing()
    remaining = sum(map(parts.size, missing))
    if remaining < parts.images:
        complain(f"going on: {parts.images - remaining} of {parts.images} pictures are done")
    with progress("Predicting", remaining, hidden_to=batch) as advance:
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
        if number == _SHOWN:
            complain(f"… and {broken - _SHOWN} more")
            break
        complain(error)
    complain(f"wrote {out}: {pictures - broken} pictures named, {broken} could not be read")
    if broken:
        raise typer.Exit(1)


def _for_workers(opened: Any, parts: Parts, engine: str, batch: int) -> tuple[str, dict[str, Any]]:
    """What a worker opens: the exported model, or a .keras file among the job's parts."""
    options = {"batch_size": batch, "threads": 1, "engine": engine}
    if isinstance(opened, Path):
        return str(opened), options
    path = parts.folder / "model.keras"
    opened.save(path)
    return str(path), options
