"""Placement of labels so that they cover neither each other nor the marks.

Written by hand: textalloc and adjustText were tried on the chart of all 62 networks. They know
neither the marks' sizes nor the cost of a leader that crosses a label, so labels cover bubbles and
leaders cross; adjustText also takes 20 seconds. Either would be a new dependency.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

_ANGLES = [math.pi * step / 8 for step in (0, 8, 4, 12, 2, 6, 10, 14, 1, 3, 5, 7, 9, 11, 13, 15)]
_GAPS = (1, 4, 8, 13, 19, 26, 34, 44, 56, 70, 86, 104, 126, 150)
"""Distances between a mark and its label, in twelfths of the label's height; so are all costs."""
_ROUNDS = 4
"""Largest number of rounds in which labels choose again."""
_CHEAP = 3.0
"""A label that costs less does not choose again."""
_EXPENSIVE = 30.0
"""A label that costs more may push a neighbour away."""
_PUSHED = 6
"""Number of neighbours that are tried."""
_CROSSED = 25.0
"""Cost of a leader across another label or leader, and of a label on a line."""
_PASSED = 8.0
"""Cost of a leader across the centre of another mark."""
LEADER_FROM = 8
"""Smallest gap at which a line leads from the mark to its label."""


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
        """Whether the two boxes overlap."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def within(self, other: "Box") -> bool:
        """Whether the box is inside `other`."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.bottom >= other.bottom
            and self.top <= other.top
        )

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the box that is nearest to a given point."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)


Segment = tuple[float, float, float, float]
"""x, y of one end, then of the other."""


class Label(NamedTuple):
    """The place of one label."""

    box: Box
    leader: Segment | None
    """Line from the mark's centre to a label that is far from it."""
    cost: float


class _Scene(NamedTuple):
    """The arguments of `place`."""

    marks: Sequence[Mark]
    sizes: Sequence[tuple[float, float]]
    area: Box
    lines: Sequence[Segment]


def place(
    marks: Sequence[Mark],
    sizes: Sequence[tuple[float, float]],
    area: Box,
    lines: Sequence[Segment] = (),
) -> list[Label]:
    """Places every label inside `area` and off all other labels.

    Greedy: labels in the most crowded places go first, each to its cheapest place, which is near
    its own mark and off the others. Then labels with an expensive place choose again until
    nothing moves, and may finally push one neighbour away.

    Args:
        marks: The marks to label.
        sizes: Width and height of each label, in the unit of the marks.
        area: The area that all labels stay in.
        lines: Horizontal and vertical lines that labels avoid.

    Raises:
        ValueError: There is no room for all labels.
    """
    scene = _Scene(marks, sizes, area, lines)
    placed: dict[int, Label] = {}
    order = sorted(range(len(marks)), key=lambda index: _room(marks, index))
    for _ in range(_ROUNDS):
        before = dict(placed)
        for index in order:
            if index in placed and placed[index].cost < _CHEAP:
                continue
            placed.pop(index, None)
            label = _best(scene, index, list(placed.values()))
            if label is None:
                raise ValueError(f"there is no room for {len(marks)} labels: choose fewer models")
            placed[index] = label
        if placed == before:
            break
    for index in order:
        if placed[index].cost > _EXPENSIVE:
            _push(scene, index, placed)
    return [placed[index] for index in range(len(marks))]


def _push(scene: _Scene, index: int, placed: dict[int, Label]) -> None:
    """Moves a label and one neighbour if that lowers the sum of their costs."""
    own = scene.marks[index]

    def distance(other: int) -> float:
        x, y = placed[other].box.nearest(own.x, own.y)
        return math.hypot(x - own.x, y - own.y)

    for other in sorted(placed.keys() - {index}, key=distance)[:_PUSHED]:
        rest = [label for each, label in placed.items() if each not in (index, other)]
        first = _best(scene, index, rest)
        second = first and _best(scene, other, [*rest, first])
        spent = placed[index].cost + placed[other].cost
        if first and second and first.cost + second.cost < spent:
            placed[index], placed[other] = first, second


def _room(marks: Sequence[Mark], index: int) -> float:
    own = marks[index]
    distances = sorted(math.hypot(own.x - mark.x, own.y - mark.y) for mark in marks)
    return sum(distances[:5])


def _best(scene: _Scene, index: int, others: Sequence[Label]) -> Label | None:
    """The cheapest place for a label, given the labels placed already."""
    mark, size = scene.marks[index], scene.sizes[index]
    unit = size[1] / 12
    best: Label | None = None
    for gap in _GAPS:
        for rank, angle in enumerate(_ANGLES):
            if best is not None and best.cost <= gap + 0.2 * rank:
                break
            box = _beside(mark, mark.radius + gap * unit, angle, size)
            if not box.within(scene.area) or any(box.overlaps(other.box) for other in others):
                continue
            leader = (mark.x, mark.y, *box.nearest(mark.x, mark.y)) if gap >= LEADER_FROM else None
            cost = gap + 0.2 * rank + _covered(box, scene.marks, unit)
            cost += _CROSSED * (_crossings(box, leader, others) + _on_lines(box, scene.lines))
            if leader is not None:
                passed = (_near(leader, other) for other in scene.marks if other is not mark)
                cost += _PASSED * sum(passed)
            if best is None or cost < best.cost:
                best = Label(box, leader, cost)
    return best


def _beside(mark: Mark, distance: float, angle: float, size: tuple[float, float]) -> Box:
    """The label's box at a distance from the mark's centre, in a direction."""
    dx, dy = math.cos(angle), math.sin(angle)
    x, y = mark.x + dx * distance, mark.y + dy * distance
    left = x - size[0] * (1 - dx) / 2
    bottom = y - size[1] * (1 - dy) / 2
    return Box(left, bottom, left + size[0], bottom + size[1])


def _covered(box: Box, marks: Sequence[Mark], unit: float) -> float:
    """Cost of the marks that a label covers: 14 for each, and twice the depth."""
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
    """Whether a line crosses a box; ending on its edge is not enough."""
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
    """Whether a line passes so close to a mark's centre that it seems to lead to it."""
    x0, y0, x1, y1 = line
    length = math.hypot(x1 - x0, y1 - y0) or 1.0
    along = ((mark.x - x0) * (x1 - x0) + (mark.y - y0) * (y1 - y0)) / length
    across = ((mark.x - x0) * (y1 - y0) - (mark.y - y0) * (x1 - x0)) / length
    return 0 <= along <= length and abs(across) < min(mark.radius, 3.0)


def _cross(a: Segment, b: Segment) -> bool:
    def side(line: Segment, x: float, y: float) -> bool:
        return (line[2] - line[0]) * (y - line[1]) > (line[3] - line[1]) * (x - line[0])

    return side(a, b[0], b[1]) != side(a, b[2], b[3]) and side(b, a[0], a[1]) != side(b, a[2], a[3])
