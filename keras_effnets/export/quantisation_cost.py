"""Measures how much quantisation changes a model's outputs and accuracy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_effnets.export.parity import ParityError, are_probabilities
from keras_effnets.export.runtimes import Session

MOST_DIVERGENCE = 1.0
"""In nats; a guess diverges that far from a network that is sure of one class in three."""


@dataclass(frozen=True, slots=True)
class QuantisationCost:
    """The cost of quantisation.

    Attributes:
        pictures: Number of calibration images.
        mean_error: Mean absolute error of all outputs on the calibration images.
        output_errors: The largest absolute error of each output, in order.
        agreement: Share of the calibration images whose first class is unchanged.
        kl_divergence: Mean Kullback-Leibler divergence from the model's probabilities to the
            artifact's on the calibration images, in nats; None if the outputs are not
            probabilities.
        kept_float: Layers that were not quantised.
        labelled: Number of labelled images that both were tested on; 0 for none.
        top1_before: Top-1 accuracy of the model on the labelled images; None without any.
        top1_after: Top-1 accuracy of the artifact.
        labelled_agreement: Share of the labelled images whose first class is unchanged.
    """

    pictures: int
    mean_error: float
    output_errors: tuple[float, ...]
    agreement: float
    kl_divergence: float | None
    kept_float: tuple[str, ...] = ()
    labelled: int = 0
    top1_before: float | None = None
    top1_after: float | None = None
    labelled_agreement: float | None = None

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> QuantisationCost:
        """Restores a cost from JSON values, in which tuples have become lists."""
        found: dict[str, Any] = dict(values)
        for name in ("output_errors", "kept_float"):
            found[name] = tuple(found[name])
        return cls(**found)


def measure_cost(
    before: Session,
    after: Session,
    images: NDArray[Any],
    *,
    kept_float: Sequence[str] = (),
    labelled: Iterable[tuple[NDArray[Any], int]] | None = None,
) -> QuantisationCost:
    """Compares a float session with a quantised one.

    Args:
        before: The float session.
        after: The quantised session.
        images: The calibration images, (B, H, W, C), as the model takes them.
        kept_float: Layers that were not quantised.
        labelled: Other images, (H, W, C), each with its class, to compare the accuracies.

    Raises:
        ParityError: The probabilities diverge by more than `MOST_DIVERGENCE`, which means that the
            quantised ranges do not cover the network's values.
    """
    was, now = _run(before, images), _run(after, images)
    errors = np.abs(now - was)
    divergence = kl_divergence(was, now)
    if divergence is not None and divergence > MOST_DIVERGENCE:
        raise ParityError(
            f"in int8 the probabilities diverge by {divergence:.2f} nats on the calibration "
            f"images; at most {MOST_DIVERGENCE:g} is allowed"
        )
    found: dict[str, Any] = {}
    if labelled is not None:
        first, second, truth = [], [], []
        for image, target in labelled:
            first.append(before.scores(image[None]).argmax())
            second.append(after.scores(image[None]).argmax())
            truth.append(target)
        was1, now1 = np.asarray(first), np.asarray(second)
        found = {
            "labelled": len(truth),
            "top1_before": float((was1 == truth).mean()),
            "top1_after": float((now1 == truth).mean()),
            "labelled_agreement": float((was1 == now1).mean()),
        }
    return QuantisationCost(
        pictures=len(images),
        mean_error=float(errors.mean()),
        output_errors=tuple(float(f"{value:.3g}") for value in errors.max(axis=0).ravel()),
        agreement=float((was.argmax(-1) == now.argmax(-1)).mean()),
        kl_divergence=divergence,
        kept_float=tuple(kept_float),
        **found,
    )


def kl_divergence(was: NDArray[Any], now: NDArray[Any]) -> float | None:
    """Returns the mean over rows of Σ p log(p / q), in nats; None if they are not probabilities."""
    if not are_probabilities(was, atol=1e-2):
        return None
    tiny = 1e-8
    p, q = (np.maximum(rows.astype(np.float64), tiny) for rows in (was, now))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return float((p * np.log(p / q)).sum(-1).mean())


def _run(session: Session, images: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([session.scores(image[None]) for image in images])
