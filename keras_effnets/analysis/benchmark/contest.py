"""Timing of contenders that take turns, each in a process of its own."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from keras_effnets.analysis.benchmark.contender_process import Process
from keras_effnets.analysis.benchmark.limits import Limits, pinned
from keras_effnets.analysis.benchmark.timed_calls import keras_builder
from keras_effnets.export.runtimes import ENGINES, installed
from keras_effnets.models.registry import model_info

PEERS = ("keras", "torchvision", "torch.compile")
TRAINING_COSTS = 3
"""Multiply-adds of a training step relative to the forward pass, which two gradients join."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A network, the library that it comes from, and the engine that runs it."""

    name: str
    """Our name of the network."""
    who: str
    """The library: "ours", "keras" or "torchvision"."""
    engine: str
    """One of our engines, or "compiled", "eager" or "fit"."""

    def __str__(self) -> str:
        if self.who == "ours":
            return f"ours, {self.engine}"
        library = {"keras": "keras.applications", "torchvision": "torchvision"}[self.who]
        return f"{library}, {self.engine}"


@dataclass(frozen=True, slots=True)
class Result:
    """The measurements of one contender at one batch size."""

    contender: Contender
    batch: int
    side: int
    train: bool
    seconds: tuple[float, ...] = ()
    """Each call, in the order of the turns; empty if the contender failed."""
    peak: int = 0
    """Peak memory of its process, libraries included, bytes."""
    ratios: tuple[float, ...] = ()
    """Its seconds over those of the first contender, turn by turn."""
    reachable: float = 0.0
    """The seconds that the machine's limits allow."""
    error: str = ""
    """Why it failed."""

    @property
    def median(self) -> float:
        """Median seconds of a call."""
        return statistics.median(self.seconds)

    @property
    def ratio(self) -> float:
        """Median ratio of its time to the first contender's."""
        return statistics.median(self.ratios)

    @property
    def share(self) -> float:
        """Share of the reachable speed: 1 if the network is as fast as the limits allow."""
        return self.reachable / self.median


def contenders(
    name: str, engines: Sequence[str], against: Sequence[str], *, train: bool = False
) -> list[Contender]:
    """Lists the contenders for a network, ours first.

    Args:
        name: The network.
        engines: Names of our engines, or "all" for those installed. Ignored for training, which
            Keras alone does.
        against: Names from `PEERS`; libraries without the network are left out.
        train: Whether to time training steps.

    Raises:
        ValueError: The name, an engine or a peer is unknown.
        ImportError: An engine is not installed.
    """
    model_info(name)
    if unknown := [each for each in against if each not in PEERS]:
        raise ValueError(f"against={unknown[0]!r}: expected one of {', '.join(PEERS)}")
    if train and "torch.compile" in against:
        raise ValueError("against='torch.compile': training allows keras and torchvision only")
    found = [Contender(name, "ours", engine) for engine in _engines(engines, train)]
    if "keras" in against and keras_builder(name):
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
    """Times contenders for one network, which take turns.

    Args:
        field: The contenders; ratios are to the first that runs.
        batch: Batch size.
        runs: Number of turns.
        side: Input size, pixels; None takes the network's own.
        threads: Number of threads to compute with.
        train: Whether to time training steps.
        limits: The machine's limits. Without them, or at another input size than the network's
            own, the reachable time is zero.
        progress: Called after every turn of all contenders.

    Returns:
        The results in the order of `field`; a failed contender has an error and no seconds.

    Raises:
        ValueError: `field` is empty, or a number is below 1.
    """
    if not field:
        raise ValueError("field is empty: expected at least one contender")
    for argument, value in (("batch", batch), ("runs", runs), ("threads", threads)):
        if value < 1:
            raise ValueError(f"{argument}={value!r}: expected 1 or more")
    info = model_info(field[0].name)
    side = side or info.side
    processes: dict[Contender, Process] = {}
    results = {each: Result(each, batch, side, train) for each in field}
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **pinned(threads),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "KERAS_EFFNETS_HOME": home,
        }
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
        except BaseException:  # interrupts too must leave no process running
            for process in processes.values():
                process.kill()
            raise
    first = next(iter(seconds.values()), [])
    costs = TRAINING_COSTS if train else 1
    for each, taken in seconds.items():
        reachable = 0.0
        # Multiply-adds are known for the network's own input size only.
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
