"""The cost of int8, and the most that is allowed."""

import artifacts
import numpy as np
import pytest

from keras_effnets.export import ParityError, export_litert, export_openvino, quantisation_cost
from keras_effnets.export.quantisation_cost import measure_cost


class Giving:
    """A session that returns the same row for every image."""

    def __init__(self, *row):
        self.row = row

    def scores(self, images):
        return np.tile(np.float32(self.row), (len(images), 1))


IMAGES = np.zeros((3, 4, 4, 3), np.float32)


def test_a_guess_is_refused():
    sure, guess = Giving(0.998, 0.001, 0.001), Giving(1 / 3, 1 / 3, 1 / 3)
    with pytest.raises(ParityError, match=r"diverge by 1\.08 nats .* at most 1 is allowed"):
        measure_cost(sure, guess, IMAGES)


def test_an_untrained_network_may_be_rounded():
    # Another class is first, by a hair.
    cost = measure_cost(Giving(0.334, 0.333, 0.333), Giving(0.333, 0.333, 0.334), IMAGES)
    assert cost.agreement == 0
    assert cost.kl_divergence == pytest.approx(3e-6, rel=0.1)


def test_logits_have_no_divergence():
    assert measure_cost(Giving(9, -9), Giving(-9, 9), IMAGES).kl_divergence is None


@pytest.mark.parametrize(
    ("export", "suffix"), [(export_litert, "tflite"), (export_openvino, "xml")]
)
def test_a_refused_export_leaves_nothing(export, suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(quantisation_cost, "MOST_DIVERGENCE", -1.0)
    calibration = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3))
    path = tmp_path / f"m.{suffix}"
    with pytest.raises(ParityError, match=f"^m.{suffix}: in int8 .*the file was not kept$"):
        export(artifacts.tiny(), path, "int8", calibration=calibration)
    assert artifacts.left_in(tmp_path) == []
