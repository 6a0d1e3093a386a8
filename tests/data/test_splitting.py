import numpy as np
import pytest

from keras_effnets.data import Pictures, folds, split


def made(*counts):
    """Images with this number in each class, shuffled."""
    targets = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    paths = tuple(f"{index}.jpg" for index in range(len(targets)))
    return Pictures(paths, targets, tuple(f"class {index}" for index in range(len(counts))))


def places(pictures):
    return [int(path.removesuffix(".jpg")) for path in pictures.paths]


def test_a_split_takes_the_share_of_each_class():
    pictures = made(40, 20, 5, 1, 0)
    part, rest = split(pictures, 0.2, 3)
    assert part.counts().tolist() == [8, 4, 1, 0, 0]
    assert rest.counts().tolist() == [32, 16, 4, 1, 0]
    assert sorted(places(part) + places(rest)) == list(range(66))
    assert places(part) == sorted(places(part))
    assert rest.targets.tolist() == pictures.targets[places(rest)].tolist()


def test_small_classes_give_one_and_keep_one():
    for share in (0.01, 0.99):
        part, rest = split(made(2, 3), share, 0)
        assert min(part.counts()) >= 1
        assert min(rest.counts()) >= 1


def test_a_split_depends_on_its_seed_alone():
    pictures = made(50, 50)
    first, again, other = (places(split(pictures, 0.3, seed)[0]) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_shares_outside_0_to_1(share):
    with pytest.raises(ValueError, match=r"share=.*: expected a number between 0 and 1"):
        split(made(4), share, 0)


@pytest.mark.parametrize("seed", [-1, 0.5, "1"])
def test_seeds_that_are_none(seed):
    with pytest.raises(ValueError, match=r"seed=.*: expected an integer of 0 or more"):
        split(made(4), 0.5, seed)


def test_folds_hold_each_picture_out_once():
    pictures = made(13, 9, 4, 1)
    parts = list(folds(pictures, 5, 7))
    assert len(parts) == 5
    assert sorted(place for _, part in parts for place in places(part)) == list(range(27))
    for rest, part in parts:
        assert sorted(places(rest) + places(part)) == list(range(27))
        assert len(part) in (5, 6)
        assert part.counts()[0] in (2, 3)
        assert part.counts()[1] in (1, 2)
        assert part.counts()[2] in (0, 1)


def test_folds_depend_on_their_seed_alone():
    pictures = made(30, 30)
    first, again, other = ([places(p) for _, p in folds(pictures, 3, s)] for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_or_too_many_folds(count):
    with pytest.raises(ValueError, match=f"count={count}: expected 2 to 4, the number of images"):
        folds(made(4), count, 0)
