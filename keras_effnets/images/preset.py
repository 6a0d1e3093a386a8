"""How images are prepared for a network, as one value that travels with its weights."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How images are prepared for a network.

    `resize` may be smaller than `crop`: the image then gets a black border, as in torchvision.
    The defaults of `mean` and `std` are those of torchvision's ImageNet checkpoints, times 255.

    Attributes:
        crop: The centre crop's side, pixels.
        resize: The shorter side after resizing, pixels.
        interpolation: "nearest", "bilinear", "bicubic" or "lanczos", as in Pillow (all but
            "nearest" antialias when shrinking).
        mean: Subtracted from the R, G and B pixels, 0–255.
        std: The R, G and B pixels are then divided by it, 0–255.

    Raises:
        ValueError: A value is out of its attribute's range.
    """

    crop: int
    resize: int
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[float, float, float] = (58.395, 57.12, 57.375)

    def __post_init__(self) -> None:
        # The class is frozen, so object.__setattr__ stores the plain Python values
        # that NumPy integers and JSON's lists become.
        for name in ("crop", "resize"):
            object.__setattr__(self, name, _side(name, getattr(self, name)))
        for name in ("mean", "std"):
            object.__setattr__(self, name, _triple(name, getattr(self, name)))
        if self.interpolation not in INTERPOLATIONS:
            raise ValueError(
                f"interpolation={self.interpolation!r}: expected one of {', '.join(INTERPOLATIONS)}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std={self.std!r}: expected three numbers above 0")

    def at(self, side: int) -> Preset:
        """Returns the same preset for another input size.

        Args:
            side: The new `crop`, pixels; `resize` changes in proportion.

        Raises:
            ValueError: `side` is not a positive integer.
        """
        side = _side("side", side)
        if side == self.crop:
            return self
        # Where resize is smaller than crop, the proportion may round down to 0.
        resize = max(1, round(self.resize * side / self.crop))
        return dataclasses.replace(self, crop=side, resize=resize)

    def to_dict(self) -> dict[str, Any]:
        """Returns the preset as plain values for JSON."""
        return {
            "crop": self.crop,
            "resize": self.resize,
            "interpolation": self.interpolation,
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preset:
        """Returns the preset that `to_dict` gave.

        Args:
            values: Attributes by name; those with a default may be left out.

        Raises:
            ValueError: A name is unknown or missing, or a value is not allowed.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        unknown = sorted(set(values) - set(names))
        missing = sorted({"crop", "resize"} - set(values))
        if unknown or missing:
            raise ValueError(
                f"preset values: unknown {unknown}, missing {missing}; a preset has {names}"
            )
        return cls(**values)


def _side(name: str, value: Any) -> int:
    """Returns `value` as a positive int, or raises a ValueError that calls it `name`."""
    try:
        side = operator.index(value)
    except TypeError:
        side = 0
    if side < 1 or isinstance(value, bool):
        raise ValueError(f"{name}={value!r}: expected a positive integer, pixels")
    return side


def _triple(name: str, value: Sequence[float]) -> tuple[float, float, float]:
    """Returns `value` as three finite floats, or raises a ValueError that calls it `name`."""
    try:
        red, green, blue = (float(number) for number in value)
    except (TypeError, ValueError):
        red = green = blue = math.nan
    if not all(map(math.isfinite, (red, green, blue))):
        raise ValueError(f"{name}={value!r}: expected three finite numbers (R, G, B)")
    return red, green, blue
