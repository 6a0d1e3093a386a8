import re

import numpy as np
import pytest

from keras_effnets.data import Pictures, Splits, class_folders, open_data


@pytest.fixture
def make(tmp_path, write):
    """Makes images with these names; names that end in a slash are empty folders."""

    def make_all(*names):
        for index, name in enumerate(names):
            if name.endswith("/"):
                (tmp_path / name).mkdir(parents=True)
            else:
                write(tmp_path / name, index)
        return tmp_path

    return make_all


def names(pictures, root):
    return [path.removeprefix(f"{root}/") for path in pictures.paths]


def test_class_folders_alone_are_all_for_training(make):
    root = make("b/1.png", "a/2.JPG", "a/deep/er/1.png", "a/.hidden.png", ".git/x.png", "c/n.txt/")
    splits = class_folders(root)
    assert splits.classes == ("a", "b", "c")
    assert names(splits.train, root) == ["a/2.JPG", "a/deep/er/1.png", "b/1.png"]
    assert splits.train.targets.tolist() == [0, 0, 1]
    assert splits.train.targets.dtype == np.int32
    assert splits.validation is splits.test is None


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_a_split_above_the_classes(make, name):
    root = make("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", f"{name}/b/1.png")
    (root / name / "a").mkdir()
    splits = class_folders(root)
    assert [part for part, _ in splits.parts()] == ["train", "validation", "test"]
    assert names(splits.test, root) == ["test/a/1.png", "test/b/1.png"]
    assert names(splits.validation, root) == [f"{name}/b/1.png"]
    assert splits.validation.targets.tolist() == [1]


def test_classes_that_are_called_like_parts(make):
    assert class_folders(make("test/1.png", "train/1.png")).classes == ("test", "train")


def test_numbers_are_not_sorted_as_text(make):
    assert class_folders(make("10/1.png", "9/1.png")).classes == ("9", "10")


def test_given_classes_set_the_order(make):
    root = make("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png")
    splits = class_folders(root, classes=["b", "a"])
    assert splits.classes == ("b", "a")
    assert names(splits.train, root) == ["train/b/1.png", "train/a/1.png"]
    assert splits.test.targets.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["a"], "none only in classes, b only in folders"),
        (["a", "b", "c"], "c only in classes, none only in folders"),
        (["a", "b", "b"], "classes: b named twice"),
    ],
)
def test_classes_that_contradict_the_folder(make, classes, message):
    with pytest.raises(ValueError, match=message):
        class_folders(make("a/1.png", "b/1.png"), classes=classes)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["a/"], "the folder contains no images"),
        (["1.png"], r"images \(1.png\) outside class folders"),
        (["a/1.png", "2.png"], r"both images \(2.png, …\) and subfolders of images"),
        (["test/a/1.png", "val/a/1.png"], "there is test, val but no train folder"),
        (["train/a/1.png", "val/a/1.png", "valid/a/1.png"], "val and valid are both validation"),
        (
            ["train/a/1.png", "test/a/1.png", "dev/a/1.png"],
            "dev beside test, train; expected",
        ),
        (["train/a/", "test/a/1.png"], "train: the folder contains no images"),
        (
            ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"],
            "the classes of train and test in .* differ: b only in train, c only in test",
        ),
    ],
)
def test_folders_that_cannot_be_used(make, files, message):
    root = make(*files)
    with pytest.raises(ValueError, match=message) as caught:
        class_folders(root)
    assert str(root) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"{tmp_path}/x: there is no such")):
        open_data(tmp_path / "x")


def test_open_data_takes_class_folders(make):
    assert open_data(str(make("a/1.png", "b/1.png"))).classes == ("a", "b")


def test_taking_pictures_keeps_names_and_classes():
    pictures = Pictures(("x", "y", "z"), np.array([1, 0, 1]), ("a", "b"))
    part = pictures.take([2, 0])
    assert part.paths == ("z", "x")
    assert part.targets.tolist() == [1, 1]
    assert part.classes == ("a", "b")
    assert part.counts().tolist() == [0, 2]
    assert part.paths[0] is pictures.paths[2]


def test_targets_are_ones_own():
    targets = np.array([0, 1])
    pictures = Pictures(("x", "y"), targets, ("a", "b"))
    targets[0] = 1
    assert pictures.targets.tolist() == [0, 1]
    with pytest.raises(ValueError, match="read-only"):
        pictures.targets[0] = 1


@pytest.mark.parametrize(
    ("targets", "classes", "message"),
    [
        ([0], ("a",), r"targets: shape \(1,\) for 2 paths"),
        ([0, 1], ("a",), "targets: from 0 to 1, expected 0 to 0"),
        ([-1, 0], ("a",), "targets: from -1 to 0"),
        ([0, 0], (), "classes: none; expected"),
    ],
)
def test_pictures_that_make_no_sense(targets, classes, message):
    with pytest.raises(ValueError, match=message):
        Pictures(("x", "y"), np.array(targets), classes)


def test_parts_of_other_classes():
    one, other = (Pictures(("x",), np.array([0]), (name,)) for name in "ab")
    with pytest.raises(ValueError, match="the classes of train and test differ: a against b"):
        Splits(one, test=other)
