"""Whether an artifact gives what its model gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class ParityError(RuntimeError):
    """An artifact does not give what its model gives; it was not kept."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How far an artifact's outputs are from its model's."""

    max_difference: float
    """Largest difference of two numbers, over the largest of the model's."""
    top1_agreement: float
    """Share of the pictures whose first class is the same, 0 to 1."""
    pictures: int
    """That both ran."""
    of: str = "output"
    """What the numbers are: `"output"`, or `"logit"` where those are probabilities."""

    def __str__(self) -> str:
        """In words."""
        return (
            f"differs by at most {self.max_difference:.1e} of the largest {self.of}, the same "
            f"first class for {self.top1_agreement:.0%} of {self.pictures} pictures"
        )


def probe_pictures(shape: Sequence[int], count: int = 4) -> Array:
    """Pictures unlike each other, the same in each call: soft waves of colour, pixels 0-255.

    Args:
        shape: (H, W, C) of one.
        count: How many.

    Returns:
        (count, H, W, C), float32, whole numbers.
    """
    height, width, channels = shape
    rng = np.random.default_rng(20_140_904)
    rows = np.linspace(0, 1, height)[:, None, None]
    columns = np.linspace(0, 1, width)[None, :, None]
    pictures = np.empty((count, height, width, channels), np.float32)
    for picture in pictures:
        waves = np.zeros((height, width, channels))
        for scale in (1, 3, 9, 27):
            across, down = rng.normal(0, 6 * scale, (2, channels))
            phase = rng.uniform(0, 2 * np.pi, channels)
            waves += np.sin(across * columns + down * rows + phase) / np.sqrt(scale)
        low, high = waves.min(), waves.max()
        picture[...] = np.rint(255 * (waves - low) / (high - low))
    return pictures


def reference_outputs(model: keras.Model, pictures: Array) -> Array:
    """What the model gives for pictures, one after the other."""
    rows = [keras.ops.convert_to_numpy(model(row[None], training=False)) for row in pictures]
    return np.concatenate(rows).astype(np.float32)


def compare(
    reference: Array, outputs: Any, *, tolerance: float | None = None, exact: bool = True
) -> Parity:
    """Compares an artifact's outputs with its model's.

    Args:
        reference: (B, classes) of the model.
        outputs: (B, classes) of the artifact.
        tolerance: Largest `max_difference` allowed; None allows any, as long as they are numbers.
        exact: Whether probabilities are compared as the logits that they come from, in which
            classes that get next to nothing count as much as the first; what is rounded to few
            bits has none of those left.

    Raises:
        ParityError: Beyond the tolerance, with other shapes, or with outputs that are no numbers.
    """
    found = np.asarray(outputs, np.float32)
    if found.shape != reference.shape:
        raise ParityError(f"outputs of shape {found.shape}, the model's are {reference.shape}")
    if not np.isfinite(found).all():
        raise ParityError("outputs that are no finite numbers")
    agreement = float((found.argmax(-1) == reference.argmax(-1)).mean())
    of, floor = "output", 1e-30
    if exact and _are_probabilities(reference):
        # Of a network that has learnt nothing the logits are mere rounding: hence the 1.
        of, floor = "logit", 1.0
        reference, found = _logits(reference), _logits(found)
    difference = float(np.abs(found - reference).max() / max(np.abs(reference).max(), floor))
    parity = Parity(difference, agreement, len(reference), of)
    if tolerance is not None and difference > tolerance:
        raise ParityError(f"{parity}; at most {tolerance:.1e} is allowed")
    return parity


def _are_probabilities(rows: Array) -> bool:
    return bool((rows >= 0).all() and np.allclose(rows.sum(-1), 1, atol=1e-3))


def _logits(probabilities: Array) -> Array:
    """The logits of a softmax, about their mean."""
    logs = np.log(np.maximum(probabilities, 1e-30))
    return np.asarray(logs - logs.mean(-1, keepdims=True), np.float32)
