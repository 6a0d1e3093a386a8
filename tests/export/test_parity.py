"""Comparing an artifact with its model."""

import numpy as np
import pytest

from keras_effnets.export import ParityError
from keras_effnets.export.parity import compare


def softmax(logits):
    powers = np.exp(np.asarray(logits, np.float32))
    return powers / powers.sum(-1, keepdims=True)


def test_unlikely_classes_count():
    reference, other = softmax([[12, 0, -12]]), softmax([[12, 0, -11]])
    assert np.abs(other - reference).max() < 1e-6
    found = compare(reference, other)
    # About their means they are (12, 0, -12) and (35 / 3, -1 / 3, -34 / 3).
    assert found.max_difference == pytest.approx((2 / 3) / 12, rel=1e-4)
    assert found.of == "logit"
    assert "of the largest logit" in str(found)
    with pytest.raises(ParityError, match="of the largest logit"):
        compare(reference, other, tolerance=1e-3)


def test_rounded_outputs_are_not_compared_as_logits():
    found = compare(softmax([[12, 0, -12]]), [[1, 0, 0]], exact=False)
    assert found.of == "output"
    assert found.max_difference < 1e-5


def test_logits_are_compared_as_they_are():
    found = compare(np.float32([[4, -8]]), [[4, -7]])
    assert (found.of, found.max_difference) == ("output", pytest.approx(1 / 8))


def test_an_untrained_network_is_mere_rounding():
    assert compare(softmax([[1e-6, 0, 0]]), softmax([[0, 1e-6, 0]])).max_difference < 1e-5


@pytest.mark.parametrize("outputs", [[[np.nan, 1]], [[0.5, 0.5], [0.5, 0.5]]])
def test_incomparable_outputs_are_refused(outputs):
    with pytest.raises(ParityError, match=r"not all finite|shape"):
        compare(softmax([[1, 2]]), outputs)
