"""Shared by the benchmarks: alternating runs, medians, and a description of the machine."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable

Job = Callable[[], object]


def alternate(jobs: dict[str, Job], *, runs: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Seconds of each run of each job, alternated so that a slow minute affects all equally."""
    for _ in range(warm_up):
        for job in jobs.values():
            job()
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            gc.collect()  # do not charge this run for the previous one's garbage
            start = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def report(title: str, seconds: dict[str, list[float]], ours: str, peer: str) -> float:
    """Prints the medians and the pairwise ratios ours / peer; returns the median ratio."""
    ratios = sorted(a / b for a, b in zip(seconds[ours], seconds[peer], strict=True))
    ratio = statistics.median(ratios)
    times = ", ".join(
        f"{name} {1e3 * statistics.median(values):.1f} ms" for name, values in seconds.items()
    )
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    print(f"{title}: {times}; time ratio {ratio:.2f} ({spread}), {1 / ratio:.2f} times as fast")
    return ratio


def machine() -> str:
    """The processor, the number of cores and the versions, on one line."""
    import keras
    import tensorflow as tf

    from keras_effnets.export.runtimes import processor

    return (
        f"{processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"Keras {keras.__version__}, TensorFlow {tf.__version__}"
    )
