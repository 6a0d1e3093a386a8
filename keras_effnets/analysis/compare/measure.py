"""What a network takes on this machine: each in a process of its own, so that none inherits.

Also a script, `python -m keras_effnets.analysis.compare.measure NAME`, which is that process.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

WARM_UP, REPETITIONS = 3, 15


class Measured(NamedTuple):
    """Of one network on one machine."""

    latency: float
    """Median seconds from a NumPy picture to NumPy probabilities, batch 1."""
    peak: int
    """Most bytes that the process held at once, Keras and its backend included."""


def measure(name: str) -> Measured:
    """Runs a network with random weights in a new process, and waits for it.

    Raises:
        RuntimeError: If the process fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "keras_effnets.analysis.compare.measure", name],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(f"{name} could not be measured: {reason}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


def measure_here(name: str) -> Measured:
    """Measures in this process, whose peak memory is then the network's only if it is new."""
    import resource

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
    # Linux counts in kibibytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Measured(statistics.median(times[WARM_UP:]), peak)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure_here(sys.argv[1])._asdict()) + "\n")
