"""Compares an artifact's outputs with its model's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray


class ParityError(RuntimeError):
    """An artifact's outputs differ from its model's; it was not kept."""


@dataclass(frozen=True, slots=True)
class Parity:
    """The difference between an artifact's outputs and its model's."""

    max_difference: float
    """The largest difference of two numbers, over the largest of the model's."""
    top1_agreement: float
    """Share of the images whose first class is the same, 0 to 1."""
    pictures: int
    """Number of images compared."""
    of: str = "output"
    """The numbers compared: `"output"`, or `"logit"` if the outputs are probabilities."""

    def __str__(self) -> str:
        """In words."""
        return (
            f"differs by at most {self.max_difference:.1e} of the largest {self.of}, the same "
            f"first class for {self.top1_agreement:.0%} of {self.pictures} images"
        )


def probe_images(shape: Sequence[int], count: int = 4) -> NDArray[Any]:
    """Makes different images of soft colour waves, the same ones in each call, pixels 0-255.

    Args:
        shape: (H, W, C) of one image.
        count: Number of images.

    Returns:
        (count, H, W, C), float32, whole numbers.
    """
    height, width, channels = shape
    rng = np.random.default_rng(20_140_904)
    rows = np.linspace(0, 1, height)[:, None, None]
    columns = np.linspace(0, 1, width)[None, :, None]
    images = np.empty((count, height, width, channels), np.float32)
    for image in images:
        waves = np.zeros((height, width, channels))
        for scale in (1, 3, 9, 27):
            across, down = rng.normal(0, 6 * scale, (2, channels))
            phase = rng.uniform(0, 2 * np.pi, channels)
            waves += np.sin(across * columns + down * rows + phase) / np.sqrt(scale)
        low, high = waves.min(), waves.max()
        image[...] = np.rint(255 * (waves - low) / (high - low))
    return images


def reference_outputs(model: keras.Model, images: NDArray[Any]) -> NDArray[Any]:
    """Runs the model on one image at a time and returns its outputs."""
    rows = [keras.ops.convert_to_numpy(model(row[None], training=False)) for row in images]
    return np.concatenate(rows).astype(np.float32)


def compare(
    reference: NDArray[Any], outputs: Any, *, tolerance: float | None = None, exact: bool = True
) -> Parity:
    """Compares an artifact's outputs with its model's.

    Args:
        reference: (B, classes), the model's outputs.
        outputs: (B, classes), the artifact's outputs.
        tolerance: Largest `max_difference` allowed; None allows any finite outputs.
        exact: Whether to compare probabilities as logits, so that unlikely classes count as much
            as likely ones. Not for outputs rounded to a few bits, which round the probabilities
            of unlikely classes to 0.

    Raises:
        ParityError: The difference exceeds the tolerance, the shapes differ, or an output is not
            finite.
    """
    found = np.asarray(outputs, np.float32)
    if found.shape != reference.shape:
        raise ParityError(f"outputs of shape {found.shape}, but the model's are {reference.shape}")
    if not np.isfinite(found).all():
        raise ParityError("outputs are not all finite")
    agreement = float((found.argmax(-1) == reference.argmax(-1)).mean())
    of, floor = "output", 1e-30
    if exact and are_probabilities(reference):
        # The logits of an untrained network are mere rounding: hence the floor of 1.
        of, floor = "logit", 1.0
        reference, found = _logits(reference), _logits(found)
    difference = float(np.abs(found - reference).max() / max(np.abs(reference).max(), floor))
    parity = Parity(difference, agreement, len(reference), of)
    if tolerance is not None and difference > tolerance:
        raise ParityError(f"{parity}; at most {tolerance:.1e} is allowed")
    return parity


def are_probabilities(rows: NDArray[Any], atol: float = 1e-3) -> bool:
    """Whether rows of outputs are probabilities, by their values."""
    return bool((rows >= 0).all() and np.allclose(rows.sum(-1), 1, atol=atol))


def _logits(probabilities: NDArray[Any]) -> NDArray[Any]:
    """Returns the logits of a softmax, with a mean of 0."""
    logs = np.log(np.maximum(probabilities, 1e-30))
    return np.asarray(logs - logs.mean(-1, keepdims=True), np.float32)
