"""Finds the fastest engine on this machine: measured once per architecture, and remembered."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_effnets.export.frozen_graph import image_shape
from keras_effnets.export.parity import probe_images
from keras_effnets.export.runtimes import ENGINES, cores, installed, processor, version
from keras_effnets.prediction.engines import RunnableModel
from keras_effnets.prediction.export_cache import PRECISIONS, architecture_digest
from keras_effnets.weights import cache
from weights_tools.formats.atomic import replacing

CHOICES = "engines"
WARM_UP, RUNS = 3, 11
"""Consecutive runs of each engine, untimed and timed; each engine has two turns."""
_log = logging.getLogger("keras_effnets")


def fastest_engine(
    model: keras.Model,
    precision: str,
    threads: int | None,
    opened: Callable[[str], RunnableModel],
) -> str:
    """Returns the installed engine that is fastest at one image at a time.

    The engines take turns, and the best run of each decides. The result is cached for this
    architecture, precision and number of threads, this processor and these versions.

    Args:
        model: The model to run.
        precision: The precision that the engine must compute in.
        threads: Number of threads to compute with.
        opened: Exports and opens the model for an engine.

    Raises:
        ValueError: No installed engine computes in the precision, or none can run the model.
    """
    candidates = [name for name in ENGINES if precision in PRECISIONS[name] and installed(name)]
    if not candidates:
        able = [name for name, known in PRECISIONS.items() if precision in known]
        raise ValueError(
            f"precision={precision!r}: expected one of "
            f"{sorted({each for known in PRECISIONS.values() for each in known})}; none of the "
            f"engines {able} is installed"
        )
    if len(candidates) == 1:
        return candidates[0]
    key = _key(model, precision, cores(threads), candidates)
    kept = cache.keep(
        CHOICES,
        f"{key}.json",
        lambda path: _write(path, _measured(model, candidates, opened)),
        _is_sound,
    )
    milliseconds: dict[str, float] = json.loads(kept.read_text("utf-8"))
    return min(milliseconds, key=lambda name: milliseconds[name])


def _key(model: keras.Model, precision: str, threads: int, engines: list[str]) -> str:
    versions = [f"{name} {version(name)}" for name in engines]
    content = [architecture_digest(model), precision, threads, versions, processor()]
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=12).hexdigest()


def _measured(
    model: keras.Model, engines: list[str], opened: Callable[[str], RunnableModel]
) -> dict[str, float]:
    """Returns the milliseconds per image of each engine that runs the model."""
    runs: dict[str, Callable[[Any], Any]] = {}
    for name in engines:
        try:
            runs[name] = opened(name).run
        except Exception as error:  # another engine may do what this one cannot
            _log.warning("engine %s does not run %s: %s", name, model.name, error)
    if not runs:
        raise ValueError(f"engine='auto': none of {engines} runs model {model.name!r}")
    image = probe_images(image_shape(model), 1)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for name in (*runs, *runs):
        # Several runs in a row: threads of the previous engine may still be spinning.
        for turn in range(WARM_UP + RUNS):
            start = time.perf_counter()
            runs[name](np.array(image))
            if turn >= WARM_UP:
                seconds[name].append(time.perf_counter() - start)
    found = {name: round(1e3 * min(each), 3) for name, each in seconds.items()}
    _log.info("milliseconds per image of %s: %s", model.name, found)
    return found


def _write(path: Path, values: dict[str, float]) -> None:
    with replacing(path) as file:
        file.write(json.dumps(values).encode())


def _is_sound(path: Path) -> bool:
    try:
        values = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return False
    return bool(values) and all(name in ENGINES for name in values)
