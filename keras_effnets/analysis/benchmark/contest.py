"""Contenders that take turns, each in a process of its own."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_effnets.analysis.benchmark.contender import Process
from keras_effnets.analysis.benchmark.jobs import in_keras
from keras_effnets.analysis.benchmark.limits import Limits
from keras_effnets.export.runtimes import ENGINES, installed
from keras_effnets.models.registry import model_info

PEERS = ("keras", "torchvision", "torch.compile")
TRAINING_COSTS = 3
"""Multiply-adds of a training step over those of the forward pass: two gradients come to it."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A network, and what runs it."""

    name: str
    """Of the network, ours."""
    who: str
    """ "ours", "keras" or "torchvision"."""
    engine: str
    """What runs it: an engine of ours, or "compiled" or "eager"."""

    def __str__(self) -> str:
        """As tables call it."""
        if self.who == "ours":
            return f"ours, {self.engine}"
        library = {"keras": "keras.applications", "torchvision": "torchvision"}[self.who]
        return f"{library}, {self.engine}"


@dataclass(frozen=True, slots=True)
class Result:
    """What one contender needed for batches of one size."""

    contender: Contender
    batch: int
    side: int
    train: bool
    seconds: tuple[float, ...] = ()
    """Of each call, in the order of the turns; none where it failed."""
    peak: int = 0
    """Most bytes that its process held, libraries included."""
    ratios: tuple[float, ...] = ()
    """Turn by turn, its seconds over those of the first contender."""
    reachable: float = 0.0
    """Seconds that the machine's limits allow."""
    error: str = ""
    """Why it did not run."""

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float:
        """Of its time to the first contender's, the median of the turns."""
        return statistics.median(self.ratios)

    @property
    def share(self) -> float:
        """Of what is reachable: 1 where the arithmetic, or reading the weights, is all there is."""
        return self.reachable / self.median


def contenders(
    name: str, engines: Sequence[str], against: Sequence[str], *, train: bool = False
) -> list[Contender]:
    """Who can be compared on a network, ours first.

    Args:
        name: Of the network.
        engines: Of ours: names, or "all" that are installed. For training there is Keras alone.
        against: Of `PEERS`; one that has no such network is left out.
        train: Whether it is about training steps.

    Raises:
        ValueError: For an unknown name, engine or peer.
        ImportError: For an engine that is not installed.
    """
    model_info(name)
    if unknown := [each for each in against if each not in PEERS]:
        raise ValueError(f"against={unknown[0]!r}: expected one of {', '.join(PEERS)}")
    if train and "torch.compile" in against:
        raise ValueError("against='torch.compile': training steps are timed of keras, torchvision")
    found = [Contender(name, "ours", engine) for engine in _engines(engines, train)]
    if "keras" in against and in_keras(name):
        found.append(Contender(name, "keras", "fit" if train else "compiled"))
    if _in_torchvision(name):
        if "torchvision" in against:
            found.append(Contender(name, "torchvision", "eager"))
        if "torch.compile" in against:
            found.append(Contender(name, "torchvision", "compiled"))
    return found


def _engines(engines: Sequence[str], train: bool) -> list[str]:
    if train:
        return ["fit"]
    known = ("keras", *ENGINES)
    if "all" in engines:
        return [engine for engine in ENGINES if installed(engine)]
    for engine in engines:
        if engine not in known:
            raise ValueError(f"engine={engine!r}: expected one of all, {', '.join(known)}")
        if engine in ENGINES and not installed(engine):
            extra = ENGINES[engine].extra
            raise ImportError(
                f"engine={engine!r} is not installed: pip install 'keras_effnets[{extra}]'"
            )
    return list(engines)


def _in_torchvision(name: str) -> bool:
    return any("torchvision" in weights.source for weights in model_info(name).weights.values())


def benchmark(
    field: Sequence[Contender],
    *,
    batch: int = 1,
    runs: int = 15,
    side: int | None = None,
    threads: int = 1,
    train: bool = False,
    limits: Limits | None = None,
    progress: Callable[[], None] | None = None,
) -> list[Result]:
    """Lets contenders on one network take turns; what fails has its reason and no seconds.

    Args:
        field: Those that take part; ratios are to the first.
        batch: Pictures at once.
        runs: Turns.
        side: Of the pictures, pixels; None takes the network's own.
        threads: To compute with.
        train: Whether to time training steps.
        limits: Of the machine; without them, or at another side than the network's own, the share
            of what is reachable is zero.
        progress: Called after each turn of all.

    Raises:
        ValueError: For no contenders, or numbers below 1.
    """
    if not field:
        raise ValueError("field is empty: expected at least one contender")
    for argument, value in (("batch", batch), ("runs", runs), ("threads", threads)):
        if value < 1:
            raise ValueError(f"{argument}={value!r}: expected 1 or more")
    info = model_info(field[0].name)
    side = side or info.side
    blank = [Result(each, batch, side, train) for each in field]
    pinned = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    processes: dict[Contender, Process] = {}
    results = {each.contender: each for each in blank}
    with tempfile.TemporaryDirectory() as home:
        environment = {**pinned, "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_EFFNETS_HOME": home}
        try:
            for each in field:
                arguments = {**dataclasses.asdict(each), "batch": batch, "side": side}
                arguments |= {"train": train, "threads": threads}
                try:
                    processes[each] = Process(arguments, environment)
                except RuntimeError as error:
                    results[each] = dataclasses.replace(results[each], error=str(error))
            seconds: dict[Contender, list[float]] = {each: [] for each in processes}
            for _ in range(runs):
                for each, process in processes.items():
                    seconds[each].append(process.once())
                if progress:
                    progress()
            peaks = {each: process.end() for each, process in processes.items()}
        except BaseException:  # an interruption too leaves no process behind
            for process in processes.values():
                process.kill()
            raise
    first = next(iter(seconds.values()), [])
    costs = TRAINING_COSTS if train else 1
    for each, taken in seconds.items():
        reachable = 0.0
        # Multiply-adds are known for the network's own side.
        if limits is not None and side == info.side:
            reachable = limits.seconds(
                batch * costs * info.multiply_adds, 4 * costs * info.parameters
            )
        results[each] = dataclasses.replace(
            results[each],
            seconds=tuple(taken),
            peak=peaks[each],
            ratios=tuple(a / b for a, b in zip(taken, first, strict=True)),
            reachable=reachable,
        )
    return [results[each] for each in field]
