"""The arithmetic of receptive fields: the pixels that a place of a map depends on.

Along one side of the image, place i of a map sees the pixels from `first + jump · i` to
`last + jump · i`, and more after an upsampling, which puts several places between two pixels.
The arithmetic is exact: nothing is sampled and no gradient is computed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldAxis:
    """The pixels that the places of a map see along one side of the image."""

    places: int
    """Size of the map along this side."""
    first: Fraction = Fraction(0)
    """First pixel that place 0 sees; negative if it is padding."""
    last: Fraction = Fraction(0)
    """Last pixel that place 0 sees, less `reach`."""
    jump: Fraction = Fraction(1)
    """Pixels from one place to the next."""
    reach: int = 0
    """Pixels between first and last before the most recent upsampling."""
    unit: int = 1
    """Jump before that upsampling; windows since then end on multiples of it."""

    @property
    def size(self) -> int:
        """Pixels seen by the place that sees most."""
        return self.reach + self.unit * ((self.last - self.first) // self.unit) + 1

    def windowed(
        self, places: int, kernel: int, *, stride: int = 1, dilation: int = 1, before: int = 0
    ) -> "FieldAxis":
        """The field after a sliding window, as of a convolution or a pooling.

        Args:
            places: Size of the output.
            kernel: Taps of the window.
            stride: Step of the window.
            dilation: Step of the taps.
            before: Padding before the first place.
        """
        start = self.first - before * self.jump
        end = self.last + (dilation * (kernel - 1) - before) * self.jump
        return replace(self, places=places, first=start, last=end, jump=self.jump * stride)

    def shifted(self, places: int, before: int) -> "FieldAxis":
        """The field after padding by `before` places, or a crop if that is negative."""
        return self.windowed(places, 1, before=before)

    def repeated(self, times: int) -> "FieldAxis":
        """The field after an upsampling that repeats each place `times` times."""
        above = self._rebased()
        step = above.jump / times
        return replace(
            above,
            places=above.places * times,
            first=above.first - (times - 1) * step,
            jump=step,
        )

    def spread(self, places: int, kernel: int, *, stride: int, before: int) -> "FieldAxis":
        """The field after a transposed convolution, whose window is laid at every input place.

        Args:
            places: Size of the output.
            kernel: Span of the window, dilation included.
            stride: Step of the window in the output.
            before: Places cut off before the first one.
        """
        above = self._rebased()
        step = above.jump / stride
        return replace(
            above,
            places=places,
            first=above.first + (before - kernel + 1) * step,
            last=above.last + before * step,
            jump=step,
        )

    def interpolated(self, times: int) -> "FieldAxis":
        """The field after a linear interpolation, where each place sees two."""
        return replace(found := self.repeated(times), last=found.last + found.jump * times)

    def tiled(self, windows: int) -> "FieldAxis":
        """The field after adaptive pooling: `windows` windows of unequal size tile the map."""
        if windows == self.places:
            return self
        starts = [window * self.places // windows for window in range(windows)]
        ends = [-(-(window + 1) * self.places // windows) for window in range(windows)]
        widest = max(end - start for start, end in zip(starts, ends, strict=True))
        step = Fraction(self.places, windows) * self.jump
        return replace(self, places=windows, last=self.last + (widest - 1) * self.jump, jump=step)

    def collapsed(self) -> "FieldAxis":
        """The field after a layer that sees all places at once."""
        return replace(self, places=1, last=self.last + (self.places - 1) * self.jump)

    def joined(self, other: "FieldAxis") -> "FieldAxis":
        """The field after two branches meet."""
        places = max(self.places, other.places)
        if (self.reach, self.unit, self.jump) != (other.reach, other.unit, other.jump):
            return replace(max(self, other, key=lambda axis: axis.size), places=places)
        first, last = min(self.first, other.first), max(self.last, other.last)
        return replace(self, places=places, first=first, last=last)

    def _rebased(self) -> "FieldAxis":
        """The same field with all pixels after `first` in `reach`, if the jump is whole."""
        if self.jump % self.unit:
            return self
        return replace(self, last=self.first, reach=self.size - 1, unit=int(self.jump))


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """The pixels that one value of a tensor depends on."""

    axes: tuple[FieldAxis, ...] = ()
    """One for each side of the image; empty if the input is not an image."""
    whole: bool = False
    """Whether the value sees the whole image, through pooling, a dense layer or attention. `axes`
    then hold its other windows: a gate multiplies a map of small windows."""
    flat: bool = False
    """Whether the places are in the tensor's last axis, as after `Flatten`."""
    features: bool = False
    """Whether the input is not an image."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels along each side, by windows."""
        return tuple(axis.size for axis in self.axes)

    @property
    def gates(self) -> bool:
        """Whether it is one value for the whole image."""
        return self.whole and all(axis.places == 1 for axis in self.axes)

    def collapsed(self) -> "Field":
        """The field after a layer that sees all places at once."""
        if all(axis.places == 1 for axis in self.axes):
            return replace(self, flat=False)
        return Field(axes=tuple(axis.collapsed() for axis in self.axes), whole=True)

    def moved(self, axes: Iterable[FieldAxis]) -> "Field":
        """The same field with other windows."""
        return replace(self, axes=tuple(axes))


def image_field(sides: Sequence[int]) -> Field:
    """The field of an image's pixels; without sides, the field of an input that is not an image."""
    return Field(axes=tuple(FieldAxis(places=side) for side in sides), features=not sides)


def joined(fields: Sequence[Field | None]) -> Field | None:
    """The field after branches meet; None if one of theirs is unknown."""
    known = [field for field in fields if field is not None and not field.features]
    if not known:
        return fields[0] if fields else None
    if None in fields:
        return None
    whole = any(field.whole for field in known)
    # A gate, one place for the whole map, does not change the windows of the map it multiplies.
    local = [field for field in known if not field.gates] or known
    first, *others = local
    if any(len(field.axes) != len(first.axes) or field.flat != first.flat for field in others):
        return None
    axes = first.axes
    for field in others:
        axes = tuple(a.joined(b) for a, b in zip(axes, field.axes, strict=True))
    return replace(first, axes=axes, whole=whole)
