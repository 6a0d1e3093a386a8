"""This machine's limits in arithmetic and memory bandwidth, measured in a process of its own.

That process runs `python -m keras_effnets.analysis.benchmark.limits THREADS`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

from keras_effnets.analysis.own_process import run_module

SIDE, FLOATS, RUNS = 2048, 2**25, 7


def pinned(threads: int) -> dict[str, str]:
    """Environment variables that limit a new process's libraries to that many threads."""
    return {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a machine for a number of threads."""

    threads: int
    multiply_adds_per_second: float
    """The rate of a product of two 2048 by 2048 matrices in single precision."""
    bytes_per_second: float
    """The rate of copying 128 MB per thread, reads plus writes."""

    def seconds(self, multiply_adds: float, weights: float) -> float:
        """The least time that a network can take.

        Args:
            multiply_adds: All its multiply-adds.
            weights: Bytes of its weights, each of which is read at least once.
        """
        return max(multiply_adds / self.multiply_adds_per_second, weights / self.bytes_per_second)


def machine_limits(threads: int) -> Limits:
    """Measures the limits in a new process, whose libraries start with that many threads.

    Raises:
        RuntimeError: The process failed.
    """
    try:
        return Limits(**run_module(__name__, str(threads), pinned(threads)))
    except RuntimeError as error:
        raise RuntimeError(f"the machine's limits could not be measured: {error}") from error


def _limits_here(threads: int) -> Limits:
    import keras
    import numpy as np

    draw = np.random.default_rng(0)
    a, b = (draw.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
    left, right = keras.ops.convert_to_tensor(a), keras.ops.convert_to_tensor(b)
    product = min(  # of NumPy's library and the backend's
        _best(lambda: a @ b),
        _best(lambda: keras.ops.convert_to_numpy(keras.ops.matmul(left, right))),
    )
    sources = [np.ones(FLOATS, np.float32) for _ in range(threads)]
    targets = [np.empty_like(each) for each in sources]
    with ThreadPoolExecutor(threads) as pool:
        copy = _best(lambda: list(pool.map(np.copyto, targets, sources)))
    return Limits(threads, SIDE**3 / product, 2 * 4 * FLOATS * threads / copy)


def _best(call: Callable[[], object]) -> float:
    """Seconds of the fastest run."""
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_limits_here(int(sys.argv[1])))) + "\n")
