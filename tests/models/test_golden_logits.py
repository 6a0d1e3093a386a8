"""The answers of this release: changing them is a breaking change and gets a CHANGELOG line.

To record anew, after saying so there: `PYTHONPATH=tests python tests/models/test_golden_logits.py`.
"""

from pathlib import Path

import numpy as np
import pretrained
import pytest

import keras_effnets

NAMES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2")
GOLDEN = Path(__file__).parent / "golden"


def picture(side: int) -> np.ndarray:
    """Three waves of different length and direction, one a channel, pixels 0-255."""
    down, across = np.mgrid[0:side, 0:side] / side
    waves = (np.sin(9 * down), np.sin(14 * across + 5 * down), np.cos(23 * down * across))
    return np.float32(127.5 + 127.5 * np.stack(waves, axis=-1))[None]


def logits(name: str) -> np.ndarray:
    model = keras_effnets.create_model(name, classifier_activation=None)
    return np.asarray(model(picture(model.input_shape[1]), training=False))[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_logits_are_those_of_the_release(name):
    pretrained.checkpoint(name)
    golden = np.load(GOLDEN / f"{name}_logits.npy")
    assert np.abs(logits(name) - golden).max() <= 1e-4 * np.abs(golden).max()


if __name__ == "__main__":
    for name in NAMES:
        np.save(GOLDEN / f"{name}_logits.npy", logits(name))
