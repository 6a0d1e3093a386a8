"""The network of a run, its precision and its determinism."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from keras_effnets.models.registry import create_model
from keras_effnets.models.surgery import reset_classifier
from keras_effnets.training.settings import Settings


@contextmanager
def numerics(settings: Settings) -> Iterator[None]:
    """Applies the settings' precision in the block; enables determinism for the process."""
    if settings.deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(_precision(settings.precision))
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _precision(wanted: str) -> str:
    if wanted != "auto":
        return wanted
    return "mixed_bfloat16" if has_gpu() else "float32"


def has_gpu() -> bool:
    """Whether the backend has a GPU."""
    try:
        return bool(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX without a GPU
        return False


def build_network(settings: Settings, classes: Sequence[str]) -> Any:
    """Builds or loads the network and gives it a new classifier for these classes.

    Raises:
        ValueError: If the network is unknown, or the weights or options do not fit it.
    """
    if settings.model.endswith(".keras"):
        if settings.weights is not None or settings.side is not None:
            raise ValueError(
                f"weights and side: {settings.model} has its own; leave them out for a .keras file"
            )
        network = keras.saving.load_model(settings.model, compile=False)
    else:
        options: dict[str, Any] = {"classes": len(classes)}
        if settings.weights is not None:
            options["weights"] = settings.weights
        if settings.side is not None:
            options["input_shape"] = (settings.side, settings.side, 3)
        network = create_model(settings.model, **options)
    network = reset_classifier(
        network, len(classes), labels=classes, dropout=settings.dropout, seed=settings.seed
    )
    # Keras seeds these from Python's `random`. Loading weights uses some of its numbers unless
    # they are cached, so the seeds would depend on the cache.
    generators = [v for v in network.variables if v.path.endswith("seed_generator_state")]
    for index, state in enumerate(generators):
        drawn = np.random.SeedSequence((settings.seed, index)).generate_state(1)
        state.assign(np.array([drawn[0], 0], state.dtype))
    return network
