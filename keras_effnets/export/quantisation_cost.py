"""What quantisation costs, measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_effnets.export.parity import Array, ParityError
from keras_effnets.export.runtimes import Session

MOST_DIVERGENCE = 1.0
"""Nats: from a network that is sure of one class in three, a guess is that far."""


@dataclass(frozen=True, slots=True)
class Rounding:
    """What quantisation cost.

    Attributes:
        pictures: That ranges were chosen by.
        mean_error: Of all outputs on them, absolute.
        output_errors: The largest absolute error of each output, in their order.
        agreement: Share of these pictures whose first class stayed.
        kl_divergence: Mean over them, of the model's probabilities to the artifact's, in nats;
            None where the model gives no probabilities.
        kept_float: Layers that were not quantised.
        labelled: Labelled pictures that both were tried on; 0 for none.
        top1_before: Share of them whose class the model puts first; None without any.
        top1_after: The same of the artifact.
        labelled_agreement: Share of them whose first class stayed.
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
    def from_dict(cls, values: dict[str, Any]) -> Rounding:
        """What a JSON's values say, whose lists were tuples."""
        found: dict[str, Any] = dict(values)
        for name in ("output_errors", "kept_float"):
            found[name] = tuple(found[name])
        return cls(**found)


def rounding(
    before: Session,
    after: Session,
    pictures: Array,
    *,
    kept_float: Sequence[str] = (),
    labelled: Iterable[tuple[Array, int]] | None = None,
) -> Rounding:
    """Compares a float session with a quantised one.

    Args:
        before: In float.
        after: Quantised.
        pictures: (B, H, W, C), as the model takes them.
        kept_float: Layers that were not quantised.
        labelled: Other pictures, (H, W, C), each with its class, to compare the accuracies.

    Raises:
        ParityError: If the probabilities diverge by more than `MOST_DIVERGENCE`: its ranges do not
            hold what the network computes.
    """
    was, now = _run(before, pictures), _run(after, pictures)
    errors = np.abs(now - was)
    divergence = kl_divergence(was, now)
    if divergence is not None and divergence > MOST_DIVERGENCE:
        raise ParityError(
            f"rounded to int8, its probabilities diverge by {divergence:.2f} nats on the "
            f"calibration's pictures, of which at most {MOST_DIVERGENCE:g} are allowed"
        )
    found: dict[str, Any] = {}
    if labelled is not None:
        first, second, truth = [], [], []
        for picture, target in labelled:
            first.append(before.scores(picture[None]).argmax())
            second.append(after.scores(picture[None]).argmax())
            truth.append(target)
        was1, now1 = np.asarray(first), np.asarray(second)
        found = {
            "labelled": len(truth),
            "top1_before": float((was1 == truth).mean()),
            "top1_after": float((now1 == truth).mean()),
            "labelled_agreement": float((was1 == now1).mean()),
        }
    return Rounding(
        pictures=len(pictures),
        mean_error=float(errors.mean()),
        output_errors=tuple(float(f"{value:.3g}") for value in errors.max(axis=0).ravel()),
        agreement=float((was.argmax(-1) == now.argmax(-1)).mean()),
        kl_divergence=divergence,
        kept_float=tuple(kept_float),
        **found,
    )


def kl_divergence(was: Array, now: Array) -> float | None:
    """Mean over rows of Σ p log(p / q), in nats; None for rows that are no probabilities."""
    if (was < 0).any() or not np.allclose(was.sum(-1), 1, atol=1e-2):
        return None
    tiny = 1e-8
    p, q = (np.maximum(rows.astype(np.float64), tiny) for rows in (was, now))
    p, q = p / p.sum(-1, keepdims=True), q / q.sum(-1, keepdims=True)
    return float((p * np.log(p / q)).sum(-1).mean())


def _run(session: Session, pictures: Array) -> Array:
    return np.concatenate([session.scores(picture[None]) for picture in pictures])
