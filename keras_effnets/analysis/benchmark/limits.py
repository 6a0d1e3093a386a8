"""What this machine can do at most: arithmetic and memory, measured and not looked up.

Also a script, `python -m keras_effnets.analysis.benchmark.limits THREADS`, in whose process that
happens.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

SIDE, FLOATS, RUNS = 2048, 2**25, 7


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a machine, with so many threads."""

    threads: int
    multiply_adds_per_second: float
    """In single precision: of a product of matrices, 2048 by 2048 each."""
    bytes_per_second: float
    """Read and written together: of copying 128 MB a thread."""

    def seconds(self, multiply_adds: float, weights: float) -> float:
        """The least time that a network can take.

        Args:
            multiply_adds: All of them.
            weights: Bytes of weights, each of which is read at least once.
        """
        return max(multiply_adds / self.multiply_adds_per_second, weights / self.bytes_per_second)


def machine_limits(threads: int) -> Limits:
    """Measures in a process of its own, in which libraries have so many threads from the start.

    Raises:
        RuntimeError: If the process fails.
    """
    pinned = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-m", "keras_effnets.analysis.benchmark.limits", str(threads)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **pinned, "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RuntimeError(f"the machine's limits could not be measured: {reason}")
    return Limits(**json.loads(done.stdout.splitlines()[-1]))


def _measured_here(threads: int) -> dict[str, Any]:
    import keras
    import numpy as np

    draw = np.random.default_rng(0)
    a, b = (draw.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
    left, right = keras.ops.convert_to_tensor(a), keras.ops.convert_to_tensor(b)
    # NumPy's library or the backend's, whichever is the better.
    product = min(
        _best(lambda: a @ b),
        _best(lambda: keras.ops.convert_to_numpy(keras.ops.matmul(left, right))),
    )
    sources = [np.ones(FLOATS, np.float32) for _ in range(threads)]
    targets = [np.empty_like(each) for each in sources]
    with ThreadPoolExecutor(threads) as pool:
        copy = _best(lambda: list(pool.map(np.copyto, targets, sources)))
    return {
        "threads": threads,
        "multiply_adds_per_second": SIDE**3 / product,
        "bytes_per_second": 2 * 4 * FLOATS * threads / copy,
    }


def _best(job: Callable[[], object]) -> float:
    """Seconds of the fastest run: what is possible."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_measured_here(int(sys.argv[1]))) + "\n")
