import numpy as np
import pytest
from PIL import Image

from keras_effnets.data import Pictures


@pytest.fixture
def write():
    """Writes a small image that depends on the number; returns its path."""

    def write_one(path, number=0, size=(12, 10)):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write_one


@pytest.fixture
def twenty(tmp_path, write):
    """Twenty images of two classes."""
    paths = [str(write(tmp_path / f"{index}.png", index, (40, 30))) for index in range(20)]
    return Pictures(tuple(paths), np.arange(20) % 2, ("even", "odd"))
