"""Where a run computes: on one device, on several of this host, or in several processes.

Several devices share each batch: each takes an equal part of it, and every update is that of the
whole batch. So that the parts are equal, an epoch whose pictures do not divide evenly repeats its
first few.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.data import Pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Processes:
    """Which of the processes of a run this one is.

    Attributes:
        coordinator: Host and port of rank 0, `10.0.0.1:8476`; every process names the same.
        rank: Of this process, from 0.
        count: Of all.

    Raises:
        ValueError: For values outside what is allowed.
    """

    coordinator: str
    rank: int
    count: int

    def __post_init__(self) -> None:
        host, _, port = self.coordinator.rpartition(":")
        if not (host and port.isdecimal()):
            raise ValueError(f"coordinator={self.coordinator!r}: expected HOST:PORT")
        if self.count < 2:
            raise ValueError(f"processes={self.count!r}: expected 2 or more")
        if not 0 <= self.rank < self.count:
            raise ValueError(f"rank={self.rank!r}: expected 0 to {self.count - 1}")


class Workers:
    """One process on its own default device.

    Attributes:
        parts: Into how many equal parts each batch must divide.
        shard: Which part of each batch this process reads, and of how many.
        is_chief: Whether this process writes the run's files.
    """

    parts = 1
    shard = (0, 1)
    is_chief = True

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While the block runs, models are made and run on these devices."""
        yield

    def wait(self, for_what: str) -> None:
        """Until every process has come this far."""

    def even(self, pictures: Pictures) -> Pictures:
        """The pictures, with the first few again where they do not divide evenly."""
        return pictures.take(self.even_order(np.arange(len(pictures))))

    def even_order(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """The order, with its first few again where it does not divide evenly."""
        return np.resize(order, len(order) + -len(order) % self.parts)

    def check(self, batch_size: int) -> None:
        """Raises ValueError where a batch does not divide evenly."""
        if batch_size % self.parts:
            raise ValueError(
                f"batch_size={batch_size}: expected a multiple of {self.parts}, the devices"
            )


class Mirrored(Workers):
    """All GPUs of this host, or its logical devices, by TensorFlow's `MirroredStrategy`.

    Batch norm that trains takes its statistics on each device's part of the batch.

    Raises:
        ValueError: On another backend than TensorFlow.
    """

    def __init__(self) -> None:
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"distribute='mirrored': the backend is {keras.backend.backend()}, and "
                "MirroredStrategy is TensorFlow's; set KERAS_BACKEND=tensorflow"
            )
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        self._strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        self.parts = self._strategy.num_replicas_in_sync

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While the block runs, variables have a copy on each device."""
        with self._strategy.scope():
            yield


class Peers(Workers):
    """Several processes, on one host or many, by JAX's own runtime.

    Each reads its part of every batch. Batch norm that trains takes its statistics on the whole
    batch, as one process would.

    Args:
        processes: Which of them this one is.

    Raises:
        ValueError: On another backend than JAX.
    """

    def __init__(self, processes: Processes) -> None:
        if keras.backend.backend() != "jax":
            raise ValueError(
                f"distribute='processes': the backend is {keras.backend.backend()}, and the "
                "processes speak through JAX; set KERAS_BACKEND=jax"
            )
        import jax

        # For CPUs alone; NCCL connects GPUs.
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize(processes.coordinator, processes.count, processes.rank)
        self.parts = jax.device_count()
        self.shard = (processes.rank, processes.count)
        self.is_chief = processes.rank == 0

    @contextmanager
    def computing(self) -> Iterator[None]:
        """While the block runs, variables are the same in all processes."""
        everywhere = keras.distribution.DataParallel(auto_shard_dataset=False)
        with everywhere.scope():
            yield

    def wait(self, for_what: str) -> None:
        """Until every process has come this far."""
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(for_what)


def workers_for(distribute: str, processes: Processes | None) -> Workers:
    """The workers that a run asks for.

    Raises:
        ValueError: If the two do not fit each other or the backend.
    """
    if (distribute == "processes") != (processes is not None):
        raise ValueError(
            f"distribute={distribute!r}: coordinator, rank and processes belong to 'processes', "
            "and it needs them"
        )
    if processes is not None:
        return Peers(processes)
    return Mirrored() if distribute == "mirrored" else Workers()


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error says that another process is gone."""
    words = ("gloo", "connection reset", "connection closed", "heartbeat", "coordination service")
    return any(word in str(error).casefold() for word in words)


class PeerLostError(RuntimeError):
    """Another process of the run is gone; what is left of this one should exit at once."""

    def __init__(self, error: Any) -> None:
        reason = str(error).strip().partition("\n")[0][:200]
        super().__init__(
            "another process of this run is gone, or cannot be reached; start all of them again "
            f"with the same commands, and the run goes on after its last finished epoch ({reason})"
        )
