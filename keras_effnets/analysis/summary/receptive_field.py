"""The arithmetic of receptive fields: which pixels a place of a map depends on.

Along one side of the picture, place i of a map sees the pixels from `first + jump · i` to
`last + jump · i`, and more where an upsampling puts several places between two pixels. Everything
is exact: nothing is sampled, no gradient computed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """What the places of a map see along one side of the picture, pixels."""

    places: int
    """Of the map along this side."""
    first: Fraction = Fraction(0)
    """The first pixel that place 0 sees; below zero where that is padding."""
    last: Fraction = Fraction(0)
    """The last one, less `reach`."""
    jump: Fraction = Fraction(1)
    """Pixels from one place to the next."""
    reach: int = 0
    """Pixels that were between first and last before the last upsampling from pixels."""
    unit: int = 1
    """The jump before it: windows measured since then end on multiples of this."""

    @property
    def size(self) -> int:
        """Pixels that one place sees: of all places, the one that sees most."""
        return self.reach + self.unit * ((self.last - self.first) // self.unit) + 1

    def windowed(
        self, places: int, kernel: int, *, stride: int = 1, dilation: int = 1, before: int = 0
    ) -> "Axis":
        """Behind a sliding window: a convolution or a pooling.

        Args:
            places: Of the output.
            kernel: Taps of the window.
            stride: Step of the window.
            dilation: Step of the taps.
            before: Padding before the first place.
        """
        start = self.first - before * self.jump
        end = self.last + (dilation * (kernel - 1) - before) * self.jump
        return replace(self, places=places, first=start, last=end, jump=self.jump * stride)

    def shifted(self, places: int, before: int) -> "Axis":
        """Behind padding of `before` places, or a crop where that is below zero."""
        return self.windowed(places, 1, before=before)

    def repeated(self, times: int) -> "Axis":
        """Behind an upsampling that repeats each place `times` times."""
        above = self._rebased()
        step = above.jump / times
        return replace(
            above,
            places=above.places * times,
            first=above.first - (times - 1) * step,
            jump=step,
        )

    def spread(self, places: int, kernel: int, *, stride: int, before: int) -> "Axis":
        """Behind a transposed convolution, whose window is laid at every place of the input.

        Args:
            places: Of the output.
            kernel: Pixels that the window spans, dilation included.
            stride: Of the window in the output.
            before: What is cut off before the first place.
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

    def interpolated(self, times: int) -> "Axis":
        """Behind a linear interpolation, each place of which sees two."""
        return replace(found := self.repeated(times), last=found.last + found.jump * times)

    def tiled(self, windows: int) -> "Axis":
        """Behind adaptive pooling: `windows` windows of unlike size that tile the map."""
        if windows == self.places:
            return self
        starts = [window * self.places // windows for window in range(windows)]
        ends = [-(-(window + 1) * self.places // windows) for window in range(windows)]
        widest = max(end - start for start, end in zip(starts, ends, strict=True))
        step = Fraction(self.places, windows) * self.jump
        return replace(self, places=windows, last=self.last + (widest - 1) * self.jump, jump=step)

    def collapsed(self) -> "Axis":
        """Behind what looks at all places at once."""
        return replace(self, places=1, last=self.last + (self.places - 1) * self.jump)

    def joined(self, other: "Axis") -> "Axis":
        """Where two branches meet."""
        places = max(self.places, other.places)
        if (self.reach, self.unit, self.jump) != (other.reach, other.unit, other.jump):
            return replace(max(self, other, key=lambda axis: axis.size), places=places)
        first, last = min(self.first, other.first), max(self.last, other.last)
        return replace(self, places=places, first=first, last=last)

    def _rebased(self) -> "Axis":
        """The same with all that is between first and last in `reach`, if the jump is whole."""
        if self.jump % self.unit:
            return self
        return replace(
            self,
            last=self.first,
            reach=self.size - 1,
            unit=int(self.jump),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """What one value of a tensor depends on."""

    axes: tuple[Axis, ...] = ()
    """One for each side of the picture; none for what is no picture."""
    whole: bool = False
    """Whether it sees the whole picture, by pooling it, by a dense layer or by attention. `axes`
    then say what else it sees: a gate multiplies a map of small windows."""
    flat: bool = False
    """Whether the places lie in the last axis of the tensor, as behind `Flatten`."""
    features: bool = False
    """Whether `axes` are left out as the input is no picture."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels along each side, as far as they are known by windows."""
        return tuple(axis.size for axis in self.axes)

    @property
    def gates(self) -> bool:
        """Whether it is one value for the whole picture."""
        return self.whole and all(axis.places == 1 for axis in self.axes)

    def collapsed(self) -> "Field":
        """Behind what looks at all places at once."""
        if all(axis.places == 1 for axis in self.axes):
            return replace(self, flat=False)
        return Field(axes=tuple(axis.collapsed() for axis in self.axes), whole=True)

    def moved(self, axes: Iterable[Axis]) -> "Field":
        """With other windows."""
        return replace(self, axes=tuple(axes))


def picture(sides: Sequence[int]) -> Field:
    """The field of the pixels themselves; of no picture where there are no sides."""
    return Field(axes=tuple(Axis(places=side) for side in sides), features=not sides)


def joined(fields: Sequence[Field | None]) -> Field | None:
    """Where branches meet; None where what one of them sees is unknown."""
    known = [field for field in fields if field is not None and not field.features]
    if not known:
        return fields[0] if fields else None
    if None in fields:
        return None
    whole = any(field.whole for field in known)
    # A gate, one place for the whole map, tells nothing of the windows of what it multiplies.
    local = [field for field in known if not field.gates] or known
    first, *others = local
    if any(len(field.axes) != len(first.axes) or field.flat != first.flat for field in others):
        return None
    axes = first.axes
    for field in others:
        axes = tuple(a.joined(b) for a, b in zip(axes, field.axes, strict=True))
    return replace(first, axes=axes, whole=whole)
