"""Pictures in a row, each with a line of text below it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_GAP = 12
_LINE = 24
_TYPE_SIZE = 14
_PAGE, _INK = "#ffffff", "#1b1f24"


def captioned(pictures: Sequence[tuple[Image.Image, str]], side: int = 224) -> Image.Image:
    """One picture of several, from left to right.

    Args:
        pictures: With their captions, which are cut where they are wider than the picture.
        side: Of the longer side of each on the sheet, pixels.
    """
    font = ImageFont.load_default(size=_TYPE_SIZE)
    sized = [(_to_side(picture, side), text) for picture, text in pictures]
    height = max(picture.height for picture, _ in sized)
    width = sum(picture.width for picture, _ in sized) + _GAP * (len(sized) + 1)
    sheet = Image.new("RGB", (width, height + _LINE + 2 * _GAP), _PAGE)
    draw = ImageDraw.Draw(sheet)
    left = _GAP
    for picture, text in sized:
        sheet.paste(picture, (left, _GAP))
        # The font has basic Latin letters only.
        line = text.encode("ascii", "replace").decode("ascii")
        while font.getlength(line) > picture.width:
            line = line[:-2]
        draw.text((left, _GAP + height + _LINE // 2), line, _INK, font, anchor="lm")
        left += picture.width + _GAP
    return sheet


def _to_side(picture: Image.Image, side: int) -> Image.Image:
    scale = side / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture if size == picture.size else picture.resize(size, Image.Resampling.BICUBIC)
