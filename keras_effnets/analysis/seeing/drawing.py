"""Heat and feature maps as pictures."""

from __future__ import annotations

import math
import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

_GAP = 2
"""Between the maps of a grid, pixels."""


def overlay(picture: ArrayLike, heat: ArrayLike, strength: float = 0.8) -> Image.Image:
    """A picture with heat on it: unchanged where there is none, yellow where there is most.

    Args:
        picture: (H, W, 3) RGB pixels, 0-255, as `load_image` gives them.
        heat: (H, W), from 0 to 1, as `grad_cam` gives it.
        strength: How much of the picture the most heat covers, in [0, 1].

    Raises:
        ValueError: For another shape or a value out of its range.
    """
    pixels, hot = np.asarray(picture, np.float32), np.asarray(heat, np.float32)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or hot.shape != pixels.shape[:2]:
        raise ValueError(
            f"picture has shape {pixels.shape} and heat {hot.shape}: expected (H, W, 3) and (H, W)"
        )
    if not (hot.min() >= 0 and hot.max() <= 1):  # not so for NaN either
        raise ValueError(f"heat is from {hot.min():g} to {hot.max():g}: expected 0 to 1")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength={strength!r} is not in [0, 1]")
    cover = strength * hot[..., None]
    mixed = (1 - cover) * pixels + cover * _coloured(hot)
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def feature_grid(
    maps: ArrayLike, *, limit: int = 64, columns: int | None = None, cell: int = 64
) -> Image.Image:
    """Maps side by side, in the order of the channels, row by row.

    Each is stretched from its own least value, dark, to its largest, light: brightness compares
    places in a map, and not maps. One that is the same everywhere is dark.

    Args:
        maps: (H, W, C), as `feature_maps` gives them.
        limit: How many channels to show, at most.
        columns: In a row; None makes the grid about square.
        cell: The longer side of each map, pixels.

    Raises:
        ValueError: For another shape, values that are no numbers, or an argument below 1.
    """
    values = np.asarray(maps, np.float32)
    if values.ndim != 3 or not values.size:
        raise ValueError(f"maps has shape {values.shape}: expected (H, W, C)")
    if not np.isfinite(values).all():
        raise ValueError("maps has values that are infinite or no number")
    count = min(_positive("limit", limit), values.shape[2])
    columns = math.ceil(math.sqrt(count)) if columns is None else _positive("columns", columns)
    columns = min(columns, count)
    scale = _positive("cell", cell) / max(values.shape[:2])
    height, width = (max(1, round(side * scale)) for side in values.shape[:2])
    low, high = values.min((0, 1)), values.max((0, 1))
    stretched = (values - low) / np.where(high > low, high - low, 1)
    rows = math.ceil(count / columns)
    grid = Image.new(
        "RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), "white"
    )
    for index in range(count):
        pixels = np.rint(_coloured(stretched[..., index])).astype(np.uint8)
        picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        row, column = divmod(index, columns)
        grid.paste(picture, (column * (width + _GAP), row * (height + _GAP)))
    return grid


def _coloured(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) from 0 to 1 as (H, W, 3), 0-255, in colours that also the colour-blind can order."""
    from matplotlib import colormaps

    return np.asarray(colormaps["inferno"](values)[..., :3] * 255, np.float32)


def _positive(name: str, value: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"{name}={value!r}: expected an integer of 1 or more")
    return number
