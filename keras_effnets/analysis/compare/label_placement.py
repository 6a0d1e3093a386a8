"""Where labels go so that they cover neither each other nor what they name."""

import math
from collections.abc import Sequence
from typing import NamedTuple

_ANGLES = [math.pi * step / 8 for step in (0, 8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15)]
_GAPS = (1, 4, 8, 13, 19, 26, 34, 44, 56, 70, 86, 104, 126, 150)
"""Between a mark and its label, in units of a twelfth of the label's height."""
_ROUNDS = 4
"""Of choosing again, at most."""
_CONTENT = 3.0
"""A label that costs less need not choose again, in gaps."""
_UNBEARABLE = 30.0
"""A label that costs more may push another one away."""
_PUSHED = 6
"""So many neighbours, at most, are tried."""
_CROSSED = 25.0
"""What a leader across another label or leader costs, in gaps; so does a label on a line."""
_PASSED = 8.0
"""What a leader over another mark's middle costs."""
LEADER_FROM = 8
"""Gap from which a line leads from the mark to its label."""


class Mark(NamedTuple):
    """A disc to be labelled."""

    x: float
    y: float
    radius: float


class Box(NamedTuple):
    """A rectangle with sides along the axes."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share an area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def within(self, other: "Box") -> bool:
        """Whether no part is outside `other`."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The place in the rectangle that is nearest to a point."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


Segment = tuple[float, float, float, float]
"""From x, y to x, y."""


class Label(NamedTuple):
    """Where one label stands."""

    box: Box
    leader: Segment | None
    """From the mark's centre to the label, where that is too far to need none."""
    cost: float


def place(
    marks: Sequence[Mark],
    sizes: Sequence[tuple[float, float]],
    area: Box,
    lines: Sequence[Segment] = (),
) -> list[Label]:
    """A place for each label, all in `area` and none on another.

    Greedy: those with the nearest neighbours choose first, each the cheapest place, near and on
    no other mark; then those that got an expensive one
    choose again among the others, until nothing moves, and may push one neighbour away.

    Args:
        marks: What is labelled.
        sizes: Width and height of each label, in the unit of the marks.
        area: Nothing is placed outside of it.
        lines: What labels had better not lie on; all are level or upright.

    Raises:
        ValueError: If there is no room for all.
    """
    placed: dict[int, Label] = {}
    order = sorted(range(len(marks)), key=lambda index: _room(marks, index))
    for _ in range(_ROUNDS):
        before = dict(placed)
        for index in order:
            if index in placed and placed[index].cost < _CONTENT:
                continue
            placed.pop(index, None)
            label = _best(index, marks, sizes[index], area, lines, list(placed.values()))
            if label is None:
                raise ValueError(f"there is no room for {len(marks)} labels: choose fewer models")
            placed[index] = label
        if placed == before:
            break
    for index in order:
        if placed[index].cost > _UNBEARABLE:
            _push(index, placed, marks, sizes, area, lines)
    return [placed[index] for index in range(len(marks))]


def _push(
    index: int,
    placed: dict[int, Label],
    marks: Sequence[Mark],
    sizes: Sequence[tuple[float, float]],
    area: Box,
    lines: Sequence[Segment],
) -> None:
    """Gives a label a cheaper place at the cost of one neighbour's, where both gain together."""
    own = marks[index]

    def distance(other: int) -> float:
        x, y = placed[other].box.nearest(own.x, own.y)
        return math.hypot(x - own.x, y - own.y)

    for other in sorted(placed.keys() - {index}, key=distance)[:_PUSHED]:
        rest = [label for each, label in placed.items() if each not in (index, other)]
        mine = _best(index, marks, sizes[index], area, lines, rest)
        theirs = mine and _best(other, marks, sizes[other], area, lines, [*rest, mine])
        spent = placed[index].cost + placed[other].cost
        if mine and theirs and mine.cost + theirs.cost < spent:
            placed[index], placed[other] = mine, theirs


def _room(marks: Sequence[Mark], index: int) -> float:
    own = marks[index]
    distances = sorted(math.hypot(own.x - mark.x, own.y - mark.y) for mark in marks)
    return sum(distances[:5])


def _best(
    index: int,
    marks: Sequence[Mark],
    size: tuple[float, float],
    area: Box,
    lines: Sequence[Segment],
    others: Sequence[Label],
) -> Label | None:
    mark, unit = marks[index], size[1] / 12
    best: Label | None = None
    for gap in _GAPS:
        if best is not None and best.cost <= gap:
            break
        for rank, angle in enumerate(_ANGLES):
            if best is not None and best.cost <= gap + 0.2 * rank:
                break
            box = _beside(mark, mark.radius + gap * unit, angle, size)
            if not box.within(area) or any(box.overlaps(other.box) for other in others):
                continue
            leader = _leader(mark, box) if gap >= LEADER_FROM else None
            cost = gap + 0.2 * rank + _covered(box, marks, unit)
            cost += _CROSSED * (_crossings(box, leader, others) + _on_lines(box, lines))
            if leader is not None:
                cost += _PASSED * sum(_near(leader, other) for other in marks if other is not mark)
            if best is None or cost < best.cost:
                best = Label(box, leader, cost)
    return best


def _beside(mark: Mark, distance: float, angle: float, size: tuple[float, float]) -> Box:
    """The label whose nearest place to the mark's centre is that far off, in that direction."""
    dx, dy = math.cos(angle), math.sin(angle)
    x, y = mark.x + dx * distance, mark.y + dy * distance
    left = x - size[0] * (1 - dx) / 2
    bottom = y - size[1] * (1 - dy) / 2
    return Box(left, bottom, left + size[0], bottom + size[1])


def _leader(mark: Mark, box: Box) -> Segment:
    return (mark.x, mark.y, *box.nearest(mark.x, mark.y))


def _covered(box: Box, marks: Sequence[Mark], unit: float) -> float:
    """How far the label reaches into marks, in gaps; twice that, and something for each."""
    total = 0.0
    for mark in marks:
        across = max(box.left - mark.x, 0.0, mark.x - box.right)
        up = max(box.bottom - mark.y, 0.0, mark.y - box.top)
        if across < mark.radius and up < mark.radius:
            depth = mark.radius - math.hypot(across, up)
            if depth > 0:
                total += 14 + 2 * depth / unit
    return total


def _crossings(box: Box, leader: Segment | None, others: Sequence[Label]) -> int:
    count = 0
    for other in others:
        if other.leader is not None:
            count += _meets(other.leader, box)
            count += leader is not None and _cross(leader, other.leader)
        if leader is not None:
            count += _meets(leader, other.box)
    return count


def _on_lines(box: Box, lines: Sequence[Segment]) -> int:
    return sum(
        min(x0, x1) < box.right
        and max(x0, x1) > box.left
        and min(y0, y1) < box.top
        and max(y0, y1) > box.bottom
        for x0, y0, x1, y1 in lines
    )


def _meets(line: Segment, box: Box) -> bool:
    """Whether a line comes through a box, and does not only end on its edge."""
    x0, y0, x1, y1 = line
    if (
        max(x0, x1) <= box.left
        or min(x0, x1) >= box.right
        or max(y0, y1) <= box.bottom
        or min(y0, y1) >= box.top
    ):
        return False
    corners = (
        (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0)
        for x in (box.left, box.right)
        for y in (box.bottom, box.top)
    )
    return len({corner > 0 for corner in corners}) == 2


def _near(line: Segment, mark: Mark) -> bool:
    """Whether a line comes so close to a mark's centre that it seems to lead to it."""
    x0, y0, x1, y1 = line
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    along = ((mark.x - x0) * (x1 - x0) + (mark.y - y0) * (y1 - y0)) / length
    across = ((mark.x - x0) * (y1 - y0) - (mark.y - y0) * (x1 - x0)) / length
    return 0 <= along <= length and abs(across) < min(mark.radius, 3.0)


def _cross(a: Segment, b: Segment) -> bool:
    def side(line: Segment, x: float, y: float) -> bool:
        return (line[2] - line[0]) * (y - line[1]) > (line[3] - line[1]) * (x - line[0])

    return side(a, b[0], b[1]) != side(a, b[2], b[3]) and side(b, a[0], a[1]) != side(b, a[2], a[3])
