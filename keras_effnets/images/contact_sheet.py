"""Many images on one sheet, each with a model's predictions."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont, ImageOps

from keras_effnets.images.reading import read_rgb
from weights_tools.formats.atomic import replacing

Entry: TypeAlias = tuple[str | os.PathLike[str], Sequence[tuple[str, float]]]
_Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SMALLEST_CELL = 96

_PAGE = "#f3f4f6"
_CARD = "#ffffff"
_EDGE = "#e1e4e8"
_INK = "#1b1f24"
_QUIET_INK = "#59626d"
_TRACK = "#e9ecf0"
# The blue of Okabe and Ito's palette, which differs from grey in every kind of colour vision; the
# best prediction has it at full strength.
_ACCENT = "#0072b2"
_SOFT_ACCENT = "#7fb8d8"


def contact_sheet(
    images: Sequence[Entry],
    path: str | os.PathLike[str],
    columns: int = 4,
    cell: int = 256,
) -> None:
    """Draws images with their predictions on one sheet and writes it as PNG.

    Each image is cropped to a square. Below it come its file name, then a line and a bar per
    prediction. The font has basic Latin letters only: accents are dropped, and letters of other
    scripts become question marks. The file appears whole or not at all.

    Args:
        images: The path of each image and its (name, score) predictions, in the order to show
            them; scores are probabilities, 0–1.
        path: The PNG file to write; an existing file is replaced.
        columns: The most images side by side.
        cell: An image's side on the sheet, pixels, at least 96; the type grows with it.

    Raises:
        OSError: An image can't be opened, or the sheet can't be written.
        ValueError: There are no images, an argument is out of its range, a score is not within
            0–1, or a file is not a readable image.
    """
    if not images:
        raise ValueError("images is empty: expected at least one image")
    if columns < 1:
        raise ValueError(f"columns={columns}: expected at least 1")
    if cell < _SMALLEST_CELL:
        raise ValueError(f"cell={cell}: expected at least {_SMALLEST_CELL} pixels")
    for source, predictions in images:
        for name, score in predictions:
            # The margin is for the rounding of a softmax; the comparison is false for NaN too.
            if not -1e-3 <= score <= 1 + 1e-3:
                raise ValueError(
                    f"{os.fspath(source)}: score {score} of {name!r}: expected a probability, 0-1"
                )
    sheet = _draw_sheet(images, columns, cell)
    with replacing(path) as file:
        sheet.save(file, format="PNG")


def _draw_sheet(images: Sequence[Entry], columns: int, cell: int) -> Image.Image:
    """Returns the whole sheet; see `contact_sheet` for the arguments."""
    style = _Style(cell)
    columns = min(columns, len(images))
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    heights = [style.card_height(max(len(predictions) for _, predictions in row)) for row in rows]
    sheet = Image.new(
        "RGB",
        (
            columns * (style.card_width + style.gap) + style.gap,
            sum(heights) + (len(rows) + 1) * style.gap,
        ),
        _PAGE,
    )
    top = style.gap
    for row, height in zip(rows, heights, strict=True):
        left = style.gap
        for source, predictions in row:
            sheet.paste(_draw_card(source, predictions, height, style), (left, top))
            left += style.card_width + style.gap
        top += height + style.gap
    return sheet


class _Style:
    """The lengths and fonts of a sheet, in pixels, in proportion to the cell."""

    def __init__(self, cell: int) -> None:
        # Below this the type would be too small to read.
        scale = max(cell, 208) / 256

        def scaled(length: float) -> int:
            return max(1, round(length * scale))

        self.cell = cell
        self.gap = scaled(20)
        self.inset = scaled(12)
        self.radius = scaled(10)
        self.bar = scaled(5)
        self.title_height = scaled(37)
        self.line_height = scaled(34)
        self.text_height = scaled(19)
        self.bottom = scaled(6)
        self.title_font: _Font = ImageFont.load_default(size=15 * scale)
        self.font: _Font = ImageFont.load_default(size=13 * scale)
        self.card_width = cell + 2 * self.inset

    def card_height(self, predictions: int) -> int:
        """Returns the height of a card with a number of predictions."""
        body = self.title_height + predictions * self.line_height
        return self.inset + self.cell + body + self.bottom


def _draw_card(
    source: str | os.PathLike[str],
    predictions: Sequence[tuple[str, float]],
    height: int,
    style: _Style,
) -> Image.Image:
    """Returns one image with its name and predictions, of size (card_width, height)."""
    size = (style.card_width, height)
    card = Image.new("RGB", size, _PAGE)
    card.paste(_EDGE, mask=_rounded(size, style.radius))
    inner = _rounded((size[0] - 2, size[1] - 2), style.radius - 1)
    card.paste(_CARD, (1, 1), inner)

    side = style.cell
    image = ImageOps.fit(read_rgb(source), (side, side), Image.Resampling.LANCZOS)
    mask = _rounded(image.size, max(1, style.radius - style.inset // 3))
    card.paste(image, (style.inset, style.inset), mask)

    draw = ImageDraw.Draw(card)
    left, right = style.inset, style.inset + side
    top = style.inset + side
    title = _fitted(Path(source).name, style.title_font, side, keep_end=True)
    baseline = top + round(style.title_height * 0.64)
    # The font has no bold weight; a hairline stroke replaces it.
    draw.text((left, baseline), title, _INK, style.title_font, anchor="ls", stroke_width=0.3)
    top += style.title_height

    for rank, (name, score) in enumerate(predictions):
        share = min(max(score, 0.0), 1.0)
        percent = f"{share:.1%}"
        ink = _INK if rank == 0 else _QUIET_INK
        baseline = top + round(style.text_height * 0.68)
        draw.text((right, baseline), percent, ink, style.font, anchor="rs")
        room = side - math.ceil(style.font.getlength(percent)) - style.inset
        draw.text((left, baseline), _fitted(name, style.font, room), ink, style.font, anchor="ls")
        bar_top = top + style.text_height
        track = _rounded((side, style.bar), style.bar / 2)
        card.paste(_TRACK, (left, bar_top), track)
        # The fill is the left part of the track, so that a small score keeps the round end.
        fill = track.crop((0, 0, round(share * side), style.bar))
        if fill.width:
            card.paste(_ACCENT if rank == 0 else _SOFT_ACCENT, (left, bar_top), fill)
        top += style.line_height
    return card


def _rounded(size: tuple[int, int], radius: float) -> Image.Image:
    """Returns a mask of a rectangle with smooth round corners."""
    # Pillow draws without antialiasing, so draw large and shrink.
    scale = 4
    mask = Image.new("L", (size[0] * scale, size[1] * scale))
    box = (0, 0, mask.width - 1, mask.height - 1)
    ImageDraw.Draw(mask).rounded_rectangle(box, radius * scale, fill=255)
    return mask.resize(size, Image.Resampling.BOX)


def _fitted(text: str, font: _Font, width: float, keep_end: bool = False) -> str:
    """Returns the text in letters that the font has, shortened to fit a width in pixels.

    Args:
        text: Any text.
        font: The font to draw it with.
        width: The room available, pixels.
        keep_end: Shorten in the middle, because the end (a file's suffix) is informative.
    """
    text = unicodedata.normalize("NFKD", text)
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = text.encode("ascii", "replace").decode("ascii")
    # A line break would make the text run down into its neighbours.
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        end = min(8, kept // 2) if keep_end else 0
        short = text[: kept - end].rstrip() + "\N{HORIZONTAL ELLIPSIS}" + text[len(text) - end :]
        if font.getlength(short) <= width:
            return short
    return ""
