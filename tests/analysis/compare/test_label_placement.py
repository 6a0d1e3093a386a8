import math
import random

import pytest

from keras_effnets.analysis.compare.label_placement import Box, Mark, place

AREA = Box(0, 0, 400, 300)


def crowd(number, seed):
    draw = random.Random(seed)
    marks = [
        Mark(draw.gauss(200, 40), draw.gauss(150, 30), draw.uniform(2, 10)) for _ in range(number)
    ]
    return marks, [(draw.uniform(20, 60), 9.0) for _ in range(number)]


@pytest.mark.parametrize("seed", range(4))
def test_no_label_is_on_another_or_outside(seed):
    marks, sizes = crowd(40, seed)
    labels = place(marks, sizes, AREA)
    for index, label in enumerate(labels):
        assert label.box.within(AREA)
        width, height = sizes[index]
        assert label.box.right - label.box.left == pytest.approx(width)
        assert label.box.top - label.box.bottom == pytest.approx(height)
        assert not any(label.box.overlaps(other.box) for other in labels[:index])


def test_a_lonely_label_is_beside_its_mark():
    (label,) = place([Mark(200, 150, 5)], [(40, 9)], AREA)
    assert label.leader is None
    assert label.box.left == pytest.approx(205, abs=2)
    assert label.box.bottom < 150 < label.box.top


def test_a_far_label_has_a_leader_from_its_mark():
    marks, sizes = crowd(40, 1)
    labels = place(marks, sizes, AREA)
    far = [index for index, label in enumerate(labels) if label.leader is not None]
    assert far
    for index in far:
        mark, (x0, y0, x1, y1) = marks[index], labels[index].leader
        assert (x0, y0) == (mark.x, mark.y)
        assert (x1, y1) == labels[index].box.nearest(mark.x, mark.y)
        assert math.hypot(x1 - x0, y1 - y0) > mark.radius


def test_labels_keep_off_lines():
    mark = Mark(200, 150, 5)
    alone = place([mark], [(40, 9)], AREA)[0].box
    line = (alone.left, 150.0, alone.right, 150.0)
    box = place([mark], [(40, 9)], AREA, [line])[0].box
    assert box.bottom >= 150 or box.top <= 150 or box.right <= alone.left


def test_labels_keep_off_other_marks():
    mark, neighbour = Mark(200, 150, 5), Mark(225, 150, 8)
    box = place([mark, neighbour], [(40, 9)] * 2, AREA)[0].box
    x, y = box.nearest(neighbour.x, neighbour.y)
    assert math.hypot(x - neighbour.x, y - neighbour.y) >= neighbour.radius


def test_too_many_for_their_area_are_refused():
    with pytest.raises(ValueError, match="there is no room for 40 labels"):
        place(*crowd(40, 0), Box(190, 140, 230, 170))
