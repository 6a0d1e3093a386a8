"""Latency and peak memory of a network on this machine, measured in a process of its own.

That process runs `python -m keras_effnets.analysis.compare.runtime_cost NAME`.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import NamedTuple

from keras_effnets.analysis.own_process import peak_memory, run_module

WARM_UP, REPETITIONS = 3, 15


class RuntimeCost(NamedTuple):
    """The measurements of one network on one machine."""

    latency: float
    """Median seconds from a NumPy image to NumPy probabilities, batch size 1."""
    peak: int
    """Peak memory of the process, Keras and its backend included, bytes."""


def measure(name: str) -> RuntimeCost:
    """Runs a network with random weights in a new process.

    Raises:
        RuntimeError: The process failed.
    """
    try:
        return RuntimeCost(**run_module(__name__, name))
    except RuntimeError as error:
        raise RuntimeError(f"{name} could not be measured: {error}") from error


def measure_here(name: str) -> RuntimeCost:
    """Measures in this process, whose peak memory is the network's only if nothing else ran."""
    import numpy as np

    from keras_effnets.models.registry import create_model, model_info

    side = model_info(name).side
    network = create_model(name, weights=None, input_shape=(side, side, 3))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, side, side, 3)).astype("float32")
    times = []
    for _ in range(WARM_UP + REPETITIONS):
        start = time.perf_counter()
        network.predict_on_batch(pixels)
        times.append(time.perf_counter() - start)
    return RuntimeCost(statistics.median(times[WARM_UP:]), peak_memory())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure_here(sys.argv[1])._asdict()) + "\n")
