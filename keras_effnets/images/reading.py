"""Pictures of any kind as upright RGB, from files that nobody vouches for."""

from __future__ import annotations

import io
import os
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Source: TypeAlias = str | os.PathLike[str] | bytes

MAX_PIXELS = 2**27
"""Pictures of more pixels (134 million, three bytes each) are refused before decoding."""

# Pillow's other readers are left out on purpose: some run outside programs (EPS) and some
# decode before they tell the size.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")

# What to do with the stored picture so that it stands upright, by EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_rgb(source: Source) -> Image.Image:
    """Reads a picture of any colour mode as upright 8-bit RGB, at its own size.

    - The EXIF orientation is applied; unreadable EXIF data is ignored.
    - Of an animation or a file with pages, the first picture is taken.
    - Transparent pixels are composited over white.
    - 16-bit pictures keep their high byte. A 32-bit integer picture is taken as 16-bit where
      its values are within 0–65535, else its range is stretched to 0–255.
    - A float picture is taken as 0–1 where its values are within that, else as 0–255 where
      they are within that, else its range is stretched to 0–255.
    - CMYK is converted without its colour profile.

    Args:
        source: A file's path, or the bytes of a file: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM,
            JPEG 2000 or AVIF.

    Returns:
        A Pillow image of mode "RGB", which holds no file open.

    Raises:
        OSError: The file can't be opened, for instance because there is none.
        ValueError: The file is no picture, is broken or truncated, or has more than
            `MAX_PIXELS` pixels.
    """
    with _stream(source) as stream:
        try:
            image = _open(stream)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels, at most {MAX_PIXELS} are allowed")
            image.load()
            # Read after loading: PNG may store EXIF data behind the pixels, and TIFF pictures
            # are turned by Pillow while they load.
            transpose = _UPRIGHT.get(_orientation(image))
            rgb = _to_rgb(image)
        # Broken files make Pillow's decoders raise nearly everything there is.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(f"{name_of(source)}: can't be read as a picture: {reason}") from error
    return rgb if transpose is None else rgb.transpose(transpose)


def name_of(source: Source) -> str:
    """Returns what error messages call a source."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else os.fspath(source)


def _stream(source: Source) -> IO[bytes]:
    """Opens a source."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    # os.fspath refuses the integers that open would take for file descriptors.
    return open(os.fspath(source), "rb")


def _open(stream: IO[bytes]) -> Image.Image:
    """Reads a picture's header; no pixel is decoded.

    This is `PIL.Image.open` without its check for decompression bombs: that check warns on
    pictures that we allow, and neither its limit nor the filter of warnings can be changed for
    one thread alone. `MAX_PIXELS` takes its place. One check stays, inside Pillow's GIF reader,
    for a frame of more than 89 million pixels that is larger than its own screen.
    """
    Image.init()
    prefix = stream.read(16)
    if not prefix:
        raise ValueError("the file is empty")
    reason = f"not one of {', '.join(_FORMATS)}"
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        # A plugin whose library is missing answers with the reason, a string.
        accepted = accept(prefix) if accept else False
        if isinstance(accepted, str):
            reason = accepted
        elif accepted and factory:
            stream.seek(0)
            return factory(stream, "")
    raise ValueError(reason)


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 (upright) where there is none or it can't be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    # A picture with broken EXIF data is still a picture, and Pillow raises many kinds here.
    except Exception:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts a loaded picture of any mode to "RGB"."""
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow's own conversion clips these at 255.
        image = Image.fromarray(_to_uint8(np.asarray(image)))
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def _to_uint8(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scales grey values of 16 or 32 bits, or of floats, to 0–255."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low) or not np.isfinite(high):
        raise ValueError("it has pixels that are infinite or no number")
    if values.dtype.kind != "f" and low >= 0 and high <= 65535:
        # The high byte undoes both usual ways from 8 to 16 bits, × 256 and × 257, and is what
        # Pillow takes of 16-bit RGB.
        return (values >> 8).astype(np.uint8)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    # A picture of one single value outside 0–255 has no range to stretch, and becomes black.
    scale = 255 / (high - low) if high > low else 0.0
    return np.rint((values.astype(np.float64) - low) * scale).astype(np.uint8)
