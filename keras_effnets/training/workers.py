"""The devices of a run: one device, several on this host, or several processes.

Several devices share each batch in equal parts, and every update is that of the whole batch. An
epoch whose images do not divide evenly repeats its first few to make the parts equal.
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
    """This process among the processes of a run.

    Attributes:
        coordinator: The host and port of rank 0, such as `10.0.0.1:8476`, the same in every
            process.
        rank: The rank of this process, from 0.
        count: The number of processes.

    Raises:
        ValueError: If a value is out of range.
    """

    coordinator: str
    rank: int
    count: int

    def __post_init__(self) -> None:
        host, _, port = self.coordinator.rpartition(":")
        if not (host and port.isdecimal()):
            raise ValueError(f"coordinator={self.coordinator!r}: expected HOST:PORT of rank 0")
        if self.count < 2:
            raise ValueError(f"processes={self.count!r}: expected 2 or more")
        if not 0 <= self.rank < self.count:
            raise ValueError(f"rank={self.rank!r}: expected 0 to {self.count - 1}")


class Workers:
    """One process on its default device.

    Attributes:
        parts: The number of equal parts that each batch must divide into.
        shard: The index of the part of each batch that this process reads, and the number of
            parts.
        is_chief: Whether this process writes the run's files.
    """

    parts = 1
    shard = (0, 1)
    is_chief = True

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Builds and runs models on these devices while the block runs."""
        yield

    def wait(self, for_what: str) -> None:
        """Waits until every process has reached this point."""

    def even(self, pictures: Pictures) -> Pictures:
        """Repeats the first few images if they do not divide evenly."""
        return pictures.take(self.even_order(np.arange(len(pictures))))

    def even_order(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """Repeats the first few indices if they do not divide evenly."""
        return np.resize(order, len(order) + -len(order) % self.parts)

    def check(self, batch_size: int) -> None:
        """Raises ValueError if a batch does not divide evenly."""
        if batch_size % self.parts:
            raise ValueError(
                f"batch_size={batch_size}: expected a multiple of {self.parts}, the device count"
            )


class Mirrored(Workers):
    """All GPUs of this host, or its logical CPUs, through TensorFlow's `MirroredStrategy`.

    Batch norms that train take their statistics over each device's part of the batch.

    Raises:
        ValueError: On a backend other than TensorFlow.
    """

    def __init__(self) -> None:
        if keras.backend.backend() != "tensorflow":
            raise ValueError(
                f"distribute='mirrored' needs the TensorFlow backend, not "
                f"{keras.backend.backend()}; set KERAS_BACKEND=tensorflow"
            )
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        self._strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        self.parts = self._strategy.num_replicas_in_sync

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Creates each variable on every device while the block runs."""
        with self._strategy.scope():
            yield


class Peers(Workers):
    """Several processes, on one or more hosts, through JAX's own runtime.

    Each process reads its part of every batch. Batch norms that train take their statistics over
    the whole batch, as in one process.

    Args:
        processes: This process's place among them.

    Raises:
        ValueError: On a backend other than JAX.
    """

    def __init__(self, processes: Processes) -> None:
        if keras.backend.backend() != "jax":
            raise ValueError(
                f"distribute='processes' needs the JAX backend, not {keras.backend.backend()}; "
                "set KERAS_BACKEND=jax"
            )
        import jax

        # For CPUs only; NCCL connects GPUs.
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        keras.distribution.initialize(processes.coordinator, processes.count, processes.rank)
        self.parts = jax.device_count()
        self.shard = (processes.rank, processes.count)
        self.is_chief = processes.rank == 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Keeps variables identical in all processes while the block runs."""
        everywhere = keras.distribution.DataParallel(auto_shard_dataset=False)
        with everywhere.scope():
            yield

    def wait(self, for_what: str) -> None:
        """Waits until every process has reached this point."""
        from jax.experimental import multihost_utils

        multihost_utils.sync_global_devices(for_what)


def workers_for(distribute: str, processes: Processes | None) -> Workers:
    """Returns the workers for these settings.

    Raises:
        ValueError: If the arguments do not fit each other or the backend.
    """
    if distribute == "processes" and processes is None:
        raise ValueError("distribute='processes' needs coordinator, rank and processes")
    if distribute != "processes" and processes is not None:
        raise ValueError(
            f"coordinator, rank and processes need distribute='processes', not {distribute!r}"
        )
    if processes is not None:
        return Peers(processes)
    return Mirrored() if distribute == "mirrored" else Workers()


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error means that another process is gone."""
    words = ("gloo", "connection reset", "connection closed", "heartbeat", "coordination service")
    return any(word in str(error).casefold() for word in words)


class PeerLostError(RuntimeError):
    """Another process of the run is gone; this one should exit at once."""

    def __init__(self, error: Any) -> None:
        reason = str(error).strip().partition("\n")[0][:200]
        super().__init__(
            "another process of this run is gone or unreachable; start all of them again with "
            f"the same commands to resume after the last finished epoch ({reason})"
        )
