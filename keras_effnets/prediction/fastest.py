"""Which engine is the fastest here: measured once for an architecture, and remembered."""

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

from keras_effnets.export.frozen_graph import picture_shape
from keras_effnets.export.parity import probe_pictures
from keras_effnets.export.runtimes import ENGINES, cores, installed, processor_name, version
from keras_effnets.prediction.engines import Network
from keras_effnets.prediction.export_cache import PRECISIONS, architecture_digest
from keras_effnets.weights import cache
from weights_tools.formats.our_format import replacing

CHOICES = "engines"
WARM, RUNS = 3, 11
"""Runs of each engine in a row, before the clock counts and after; there are two such rows."""
_log = logging.getLogger("keras_effnets")


def fastest(
    model: keras.Model,
    precision: str,
    threads: int | None,
    opened: Callable[[str], Network],
) -> str:
    """The engine that runs one picture at a time fastest, of those installed.

    The engines take turns, and the best run of each decides. What came out is kept in the cache
    for this architecture, precision and number of threads, this processor and these versions.

    Args:
        model: To run.
        precision: That the engine must compute in.
        threads: To compute with.
        opened: Exports and opens the model for an engine.

    Raises:
        ValueError: If no installed engine computes in the precision, or none could run the model.
    """
    candidates = [name for name in ENGINES if precision in PRECISIONS[name] and installed(name)]
    if not candidates:
        able = [name for name, known in PRECISIONS.items() if precision in known]
        raise ValueError(
            f"precision={precision!r}: expected one of "
            f"{sorted({each for known in PRECISIONS.values() for each in known})}; of the engines "
            f"{able} none is installed"
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
    told = [architecture_digest(model), precision, threads, versions, processor_name()]
    return hashlib.blake2b(json.dumps(told).encode(), digest_size=12).hexdigest()


def _measured(
    model: keras.Model, engines: list[str], opened: Callable[[str], Network]
) -> dict[str, float]:
    """Milliseconds a picture, of each engine that runs the model."""
    runs: dict[str, Callable[[Any], Any]] = {}
    for name in engines:
        try:
            runs[name] = opened(name).run
        except Exception as error:  # another engine may do what this one cannot
            _log.warning("engine %s does not run %s: %s", name, model.name, error)
    if not runs:
        raise ValueError(f"engine='auto': none of {engines} runs model {model.name!r}")
    picture = probe_pictures(picture_shape(model), 1)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for name in (*runs, *runs):
        # Several in a row: threads of the engine before may still be spinning.
        for turn in range(WARM + RUNS):
            start = time.perf_counter()
            runs[name](np.array(picture))
            if turn >= WARM:
                seconds[name].append(time.perf_counter() - start)
    found = {name: round(1e3 * min(each), 3) for name, each in seconds.items()}
    _log.info("milliseconds a picture of %s: %s", model.name, found)
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
