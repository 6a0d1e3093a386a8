"""The parts of a job on many machines, through Ray Data."""

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
    """Makes the missing parts of a job by Ray workers, each with a predictor of its own.

    The pictures, the model and the job's folder are on storage that all machines see at the same
    paths. Whoever calls `ray.init` before decides on the cluster; else Ray joins the one that
    `RAY_ADDRESS` names, or starts one on this machine.

    Args:
        parts: The job.
        model: The path of a .keras file or of an exported model.
        options: Of each `Predictor`.
        workers: How many, at once.
        advance: Called with the number of pictures done since.

    Raises:
        ImportError: Without Ray.
        ValueError: For less than one worker.
    """
    require("ray", extra="ray")
    if workers < 1:
        raise ValueError(f"workers={workers!r}: expected 1 or more")
    import ray
    import ray.data

    if not ray.is_initialized():
        # The one that reports is whoever calls this.
        ray.init(log_to_driver=False, logging_level=logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    ray.data.DataContext.get_current().enable_progress_bars = False
    numbers = parts.missing()
    if not numbers:
        return
    told = (parts.out.resolve(), parts.job, str(Path(model).resolve()), options)
    made = ray.data.from_items([{"part": number} for number in numbers]).map_batches(
        _Worker,
        fn_constructor_args=told,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(workers, len(numbers))),
        num_cpus=1,
    )
    for row in made.iter_rows():
        advance(row["pictures"])


class _Worker:
    """One process of the cluster: opens the model once, makes parts."""

    def __init__(self, out: Path, job: Job, model: str, options: dict[str, Any]) -> None:
        self._parts = Parts(out, job, tuple)  # the pictures are listed already
        self._predictor = Predictor(model, **options)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        for number in batch["part"]:
            self._parts.make(int(number), self._predictor, lambda: None)
        return {"pictures": [self._parts.size(int(number)) for number in batch["part"]]}
