"""Images to compare networks on: a few different drawn ones, and the user's own."""

import io
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_effnets.images.reading import read_rgb


def drawn() -> tuple[NDArray[np.uint8], ...]:
    """Returns four fixed RGB images, (H, W, 3), with sides of 90 to 420 pixels."""
    rng = np.random.default_rng(20)
    return (_sunset(300, 420), _grain(260, 260, rng), _discs(360, 240, rng), _tiles(90, 130))


def read_pictures(paths: Iterable[str | os.PathLike[str]]) -> tuple[NDArray[np.uint8], ...]:
    """Reads image files, upright and in RGB.

    Raises:
        OSError: If a file cannot be opened.
        ValueError: If a file is not an image.
    """
    return tuple(np.array(read_rgb(os.fspath(path))) for path in paths)


def as_file(picture: NDArray[np.uint8]) -> bytes:
    """Encodes an image as PNG, which is lossless."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _grid(height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    down, across = np.mgrid[0:height, 0:width]
    return down / (height - 1), across / (width - 1)


def _between(
    plane: NDArray[np.floating[Any]], one: Sequence[int], other: Sequence[int]
) -> NDArray[np.uint8]:
    """Mixes two colours by a plane of weights in [0, 1]."""
    mixed = plane[..., None] * np.array(other) + (1 - plane[..., None]) * np.array(one)
    return np.rint(np.clip(mixed, 0, 255)).astype(np.uint8)


def _sunset(height: int, width: int) -> NDArray[np.uint8]:
    down, across = _grid(height, width)
    return _between((2 * down + across**2) / 3, (20, 30, 110), (255, 170, 40))


def _grain(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Returns noise, half of it coarse."""
    fine = rng.uniform(0, 255, (height, width, 3))
    coarse = rng.uniform(0, 255, (-(-height // 16), -(-width // 16), 3))
    coarse = coarse.repeat(16, 0).repeat(16, 1)[:height, :width]
    return np.rint((fine + coarse) / 2).astype(np.uint8)


def _discs(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    down, across = _grid(height, width)
    picture = np.full((height, width, 3), 235, np.uint8)
    for y, x, radius in rng.uniform((0, 0, 0.05), (1, 1, 0.3), (9, 3)):
        picture[(down - y) ** 2 + (across - x) ** 2 < radius**2] = rng.integers(0, 200, 3)
    return picture


def _tiles(height: int, width: int) -> NDArray[np.uint8]:
    down, across = _grid(height, width)
    return _between(
        (np.sin(40 * down) * np.sin(55 * across) > 0) * 1.0, (10, 60, 20), (230, 90, 200)
    )
