"""Images of heat and of feature maps, and several images side by side."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw, ImageFont

_MAP_GAP = 2
"""Pixels between the maps of a grid."""
_MARGIN, _LINE, _TYPE_SIZE = 12, 24, 14
"""Pixels around captioned images, height of the caption line, and font size."""
_PAGE, _INK = "#ffffff", "#1b1f24"


def overlay(picture: ArrayLike, heat: ArrayLike, strength: float = 0.8) -> Image.Image:
    """Draws heat over an image: where heat is 0 the image is unchanged, at 1 it is yellow.

    Args:
        picture: (H, W, 3) RGB pixels, 0-255, for example from `load_image`.
        heat: (H, W), from 0 to 1, for example from `grad_cam`.
        strength: Opacity at heat 1, in [0, 1].

    Raises:
        ValueError: A shape does not match, or a value is out of its range.
    """
    pixels, hot = np.asarray(picture, np.float32), np.asarray(heat, np.float32)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or hot.shape != pixels.shape[:2]:
        raise ValueError(
            f"picture has shape {pixels.shape} and heat {hot.shape}: expected (H, W, 3) and (H, W)"
        )
    if not (hot.min() >= 0 and hot.max() <= 1):  # false for NaN too
        raise ValueError(f"heat ranges from {hot.min():g} to {hot.max():g}: expected 0 to 1")
    if not 0 <= strength <= 1:
        raise ValueError(f"strength={strength!r} is not in [0, 1]")
    cover = strength * hot[..., None]
    mixed = (1 - cover) * pixels + cover * _coloured(hot)
    return Image.fromarray(np.clip(np.rint(mixed), 0, 255).astype(np.uint8))


def feature_grid(
    maps: ArrayLike, *, limit: int = 64, columns: int | None = None, cell: int = 64
) -> Image.Image:
    """Draws feature maps in a grid, row by row in the order of the channels.

    Each map is stretched from its own minimum, dark, to its maximum, light, so brightness compares
    places within a map, not maps. A constant map is dark.

    Args:
        maps: (H, W, C), for example from `feature_maps`.
        limit: Largest number of channels to show.
        columns: Maps per row; None makes the grid about square.
        cell: Longer side of each map, pixels.

    Raises:
        ValueError: The shape is wrong, a value is not finite, or an argument is below 1.
    """
    values = np.asarray(maps, np.float32)
    if values.ndim != 3 or not values.size:
        raise ValueError(f"maps has shape {values.shape}: expected (H, W, C)")
    if not np.isfinite(values).all():
        raise ValueError("maps has infinite or NaN values")
    count = min(_positive("limit", limit), values.shape[2])
    columns = math.ceil(math.sqrt(count)) if columns is None else _positive("columns", columns)
    columns = min(columns, count)
    scale = _positive("cell", cell) / max(values.shape[:2])
    height, width = (max(1, round(side * scale)) for side in values.shape[:2])
    low, high = values.min((0, 1)), values.max((0, 1))
    stretched = (values - low) / np.where(high > low, high - low, 1)
    across, down = width + _MAP_GAP, height + _MAP_GAP
    rows = math.ceil(count / columns)
    grid = Image.new("RGB", (columns * across - _MAP_GAP, rows * down - _MAP_GAP), "white")
    for index in range(count):
        pixels = np.rint(_coloured(stretched[..., index])).astype(np.uint8)
        image = Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST)
        row, column = divmod(index, columns)
        grid.paste(image, (column * across, row * down))
    return grid


def captioned(images: Sequence[tuple[Image.Image, str]], side: int = 224) -> Image.Image:
    """Draws images in a row, each with a line of text below it.

    Args:
        images: Images with their captions, which are cut at the image's width.
        side: Longer side of each image on the sheet, pixels.
    """
    font = ImageFont.load_default(size=_TYPE_SIZE)
    sized = [(_to_side(image, side), text) for image, text in images]
    height = max(image.height for image, _ in sized)
    width = sum(image.width for image, _ in sized) + _MARGIN * (len(sized) + 1)
    sheet = Image.new("RGB", (width, height + _LINE + 2 * _MARGIN), _PAGE)
    draw = ImageDraw.Draw(sheet)
    left = _MARGIN
    for image, text in sized:
        sheet.paste(image, (left, _MARGIN))
        # The font has basic Latin letters only.
        line = text.encode("ascii", "replace").decode("ascii")
        while font.getlength(line) > image.width:
            line = line[:-2]
        draw.text((left, _MARGIN + height + _LINE // 2), line, _INK, font, anchor="lm")
        left += image.width + _MARGIN
    return sheet


def _to_side(image: Image.Image, side: int) -> Image.Image:
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image if size == image.size else image.resize(size, Image.Resampling.BICUBIC)


def _coloured(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W), 0 to 1, as colours that colour-blind readers can order: (H, W, 3), 0-255."""
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
