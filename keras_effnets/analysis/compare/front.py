"""The Pareto front: what nothing else beats in both respects."""

from collections.abc import Sequence

from keras_effnets.analysis.compare.points import AXES, Point


def pareto_front(points: Sequence[Point], x: str, y: str) -> list[Point]:
    """Those points that no other equals or beats on both axes, by growing cost.

    A point is beaten by one at least as good on both and better on one; of several that are
    equal on both, all stay. Points without a value on either axis are left out.
    """
    known = [p for p in points if p.value(x) is not None and p.value(y) is not None]

    def badness(point: Point, axis: str) -> float:
        value = point.value(axis)
        assert value is not None
        return -value if AXES[axis].more_is_better else value

    pairs = [(badness(point, x), badness(point, y)) for point in known]
    front = [
        (own, point)
        for own, point in zip(pairs, known, strict=True)
        if not any(each != own and each[0] <= own[0] and each[1] <= own[1] for each in pairs)
    ]
    return [point for _, point in sorted(front, key=lambda pair: pair[0])]
