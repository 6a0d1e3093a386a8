"""Untrusted image files of any kind, read as upright RGB."""

from __future__ import annotations

import io
import os
from typing import IO, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

ImageSource: TypeAlias = str | os.PathLike[str] | bytes

MAX_PIXELS = 2**27
"""Images of more pixels (134 million, three bytes each) are refused before decoding."""

# Pillow's other readers are left out on purpose: some run external programs (EPS), and some
# decode before they know the size.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")

# The operation that makes a stored image upright, by EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_rgb(source: ImageSource) -> Image.Image:
    """Reads an image of any colour mode as upright 8-bit RGB, at its own size.

    - The EXIF orientation is applied; unreadable EXIF data is ignored.
    - The first frame of an animation, or the first page, is read.
    - Transparent pixels are composited over white.
    - 16-bit images keep their high byte. 32-bit integer values are read as 16-bit where all are
      within 0–65535; otherwise their range is stretched to 0–255.
    - Float values are read as 0–1 where all are within that range, or as 0–255 where all are
      within that; otherwise their range is stretched to 0–255.
    - CMYK is converted without its colour profile.

    Args:
        source: A file's path, or the bytes of a file: JPEG, PNG, WebP, GIF, BMP, TIFF, PPM,
            JPEG 2000 or AVIF.

    Returns:
        A Pillow image of mode "RGB" that holds no open file.

    Raises:
        OSError: The file can't be opened, for instance because it does not exist.
        ValueError: The file is not an image, is broken or truncated, or has more than
            `MAX_PIXELS` pixels.
    """
    with _stream(source) as stream:
        try:
            image = _open(stream)
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels: at most {MAX_PIXELS} are allowed")
            image.load()
            # Read after loading: PNG may store EXIF data after the pixels, and Pillow turns TIFF
            # images while it loads them.
            transpose = _UPRIGHT.get(_orientation(image))
            rgb = _to_rgb(image)
        # Pillow's decoders raise nearly any exception for broken files.
        except Exception as error:
            reason = str(error) or type(error).__name__
            raise ValueError(f"{name_of(source)}: can't be read as an image: {reason}") from error
    return rgb if transpose is None else rgb.transpose(transpose)


def name_of(source: ImageSource) -> str:
    """Returns the name of a source in error messages."""
    return f"<{len(source)} bytes>" if isinstance(source, bytes) else os.fspath(source)


def _stream(source: ImageSource) -> IO[bytes]:
    """Opens a source."""
    if isinstance(source, bytes):
        return io.BytesIO(source)
    # os.fspath refuses integers, which open would take for file descriptors.
    return open(os.fspath(source), "rb")


def _open(stream: IO[bytes]) -> Image.Image:
    """Reads an image's header without decoding any pixels.

    This is `PIL.Image.open` without its check for decompression bombs, which `MAX_PIXELS`
    replaces: that check warns about images that are allowed here, and neither its limit nor the
    warning filter can be changed for one thread alone. One check stays, inside Pillow's GIF
    reader, for a frame of more than 89 million pixels that is larger than its own screen.
    """
    Image.init()
    prefix = stream.read(16)
    if not prefix:
        raise ValueError("the file is empty")
    reason = f"not one of {', '.join(_FORMATS)}"
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        # A plugin whose library is missing returns the reason, a string.
        accepted = accept(prefix) if accept else False
        if isinstance(accepted, str):
            reason = accepted
        elif accepted and factory:
            stream.seek(0)
            return factory(stream, "")
    raise ValueError(reason)


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, or 1 (upright) if it is missing or can't be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    # An image with broken EXIF data is still an image; Pillow raises many exceptions here.
    except Exception:
        return 1


def _to_rgb(image: Image.Image) -> Image.Image:
    """Converts a loaded image of any mode to "RGB"."""
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
        raise ValueError("some pixels are infinite or NaN")
    if values.dtype.kind != "f" and low >= 0 and high <= 65535:
        # The high byte undoes both usual conversions from 8 to 16 bits, × 256 and × 257, and is
        # also the one that Pillow keeps of 16-bit RGB.
        return (values >> 8).astype(np.uint8)
    if low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    # An image of a single value outside 0–255 has no range to stretch and becomes black.
    scale = 255 / (high - low) if high > low else 0.0
    return np.rint((values.astype(np.float64) - low) * scale).astype(np.uint8)
