"""What int8 costs, and what is too much."""

import artifacts
import numpy as np
import pytest

from keras_effnets.export import (
    ParityError,
    export_litert,
    export_openvino,
)
from keras_effnets.export import (
    quantisation_cost as rounding,
)


class Giving:
    """A session that gives the same row for every picture."""

    def __init__(self, *row):
        self.row = row

    def scores(self, pictures):
        return np.tile(np.float32(self.row), (len(pictures), 1))


PICTURES = np.zeros((3, 4, 4, 3), np.float32)


def test_a_guess_is_refused():
    sure, guess = Giving(0.998, 0.001, 0.001), Giving(1 / 3, 1 / 3, 1 / 3)
    with pytest.raises(ParityError, match=r"diverge by 1\.08 nats .* at most 1 are allowed"):
        rounding.rounding(sure, guess, PICTURES)


def test_a_network_that_has_learnt_nothing_may_be_rounded():
    # Another class is first, by a hair.
    cost = rounding.rounding(Giving(0.334, 0.333, 0.333), Giving(0.333, 0.333, 0.334), PICTURES)
    assert cost.agreement == 0
    assert cost.kl_divergence == pytest.approx(3e-6, rel=0.1)


def test_of_logits_no_divergence_is_told():
    assert rounding.rounding(Giving(9, -9), Giving(-9, 9), PICTURES).kl_divergence is None


@pytest.mark.parametrize(
    ("export", "suffix"), [(export_litert, "tflite"), (export_openvino, "xml")]
)
def test_nothing_is_left_of_what_is_refused(export, suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(rounding, "MOST_DIVERGENCE", -1.0)
    calibration = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3))
    path = tmp_path / f"m.{suffix}"
    with pytest.raises(ParityError, match=f"^m.{suffix}: rounded to int8.*it was not kept$"):
        export(artifacts.tiny(), path, "int8", calibration=calibration)
    assert artifacts.left_in(tmp_path) == []
