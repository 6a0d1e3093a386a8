"""Runs the parts of a job on many machines, through Ray Data."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_effnets.export.runtimes import require
from keras_effnets.prediction.predictor import Predictor
from keras_effnets.prediction.to_parquet import Job, Parts


def predict_on_ray(
    parts: Parts, model: str, options: dict[str, Any], workers: int, advance: Callable[[int], None]
) -> None:
    """Makes the missing parts of a job in Ray workers, each with its own predictor.

    The images, the model and the job's folder must be at the same paths on all machines. A
    cluster that `ray.init` has already joined is used; otherwise Ray joins the one in
    `RAY_ADDRESS`, or starts one on this machine.

    Args:
        parts: The job.
        model: The path of a .keras file or of an exported model.
        options: Keyword arguments of each `Predictor`.
        workers: Number of simultaneous workers.
        advance: Called with the number of images done since the last call.

    Raises:
        ImportError: Ray is not installed.
        ValueError: `workers` is below 1.
    """
    require("ray", extra="ray")
    if workers < 1:
        raise ValueError(f"workers={workers!r}: expected 1 or more")
    import ray
    import ray.data

    if not ray.is_initialized():
        # Reporting is left to the caller.
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    numbers = parts.missing()
    if not numbers:
        return
    arguments = (parts.out.resolve(), parts.job, str(Path(model).resolve()), options)
    made = ray.data.from_items([{"part": number} for number in numbers]).map_batches(
        _Worker,
        fn_constructor_args=arguments,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(numbers))),
        num_cpus=1,
    )
    for row in made.iter_rows():
        advance(row["images"])


class _Worker:
    """A process of the cluster, which opens the model once and makes parts."""

    def __init__(self, out: Path, job: Job, model: str, options: dict[str, Any]) -> None:
        self._parts = Parts(out, job, tuple)  # the images are already listed
        self._predictor = Predictor(model, **options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for number in batch["part"]:
            self._parts.make(int(number), self._predictor, lambda: None)
        return {"images": [self._parts.size(int(number)) for number in batch["part"]]}
