import os
import shutil

import numpy as np
import pytest

from keras_effnets.data import Broken, Pictures, Splits, scan, warnings_of


def test_broken_pictures_are_dropped_and_named(tmp_path, twenty):
    cut = tmp_path / "3.png"
    cut.write_bytes(cut.read_bytes()[:-400])
    (tmp_path / "8.png").write_bytes(b"no picture")
    (tmp_path / "9.png").unlink()
    calls = []
    readable, broken = scan(twenty, progress=lambda: calls.append(1))
    assert [name.path for name in broken] == [str(tmp_path / f"{index}.png") for index in (3, 8, 9)]
    assert all(isinstance(one, Broken) and one.error.startswith(one.path) for one in broken)
    assert broken[2].error.endswith("No such file or directory")
    assert len(readable) == 17
    assert readable.targets.tolist() == [
        t for i, t in enumerate(twenty.targets) if i not in (3, 8, 9)
    ]
    assert len(calls) == 20


def test_whole_pictures_stay_as_they_are(twenty):
    assert scan(twenty) == (twenty, ())


def test_no_readable_picture(tmp_path):
    path = tmp_path / "x.jpg"
    path.write_bytes(b"x" * 50)
    with pytest.raises(ValueError, match=r"none of 1 images can be read: .*x\.jpg"):
        scan(Pictures((str(path),), np.array([0]), ("a",)))


@pytest.fixture
def pictures(tmp_path, write):
    """Makes images with these names; the first letter is the class."""

    def make(*names, classes="ab"):
        paths = [tmp_path / f"{name}.png" for name in names]
        for path in paths:
            if not path.exists():
                write(path, hash(path.name) % 2**32)
        targets = np.array([classes.index(path.stem[0]) for path in paths], np.int32)
        return Pictures(tuple(map(str, paths)), targets, tuple(classes))

    return make


def test_nothing_to_warn_about(pictures):
    assert warnings_of(Splits(pictures("a1", "b1"), None, pictures("a2", "b2"))) == []


def test_classes_without_pictures(pictures):
    splits = Splits(pictures("a1"), pictures("b3"), pictures("b2"))
    assert warnings_of(splits) == [
        "class b has no train images",
        "class a has no validation images",
        "class a has no test images",
    ]


def test_a_single_class(pictures):
    assert warnings_of(Splits(pictures("a1", classes="a"))) == ["there is only one class, a"]


def test_copies_are_named(tmp_path, pictures):
    train, test = pictures("a1", "b1", "b2"), pictures("a3", "b4", "b5")
    for copy, of in (("b2", "a1"), ("b4", "b1"), ("b5", "a3")):
        shutil.copy(tmp_path / f"{of}.png", tmp_path / f"{copy}.png")
    found = warnings_of(Splits(train, None, test))
    assert found == [
        f"the same image is 2 times in train: {tmp_path}/a1.png, {tmp_path}/b2.png",
        f"the same image is in train and test: {tmp_path}/b1.png, {tmp_path}/b4.png",
    ]


def test_files_of_equal_size_are_not_copies(tmp_path, pictures):
    train, test = pictures("a1", "b1"), pictures("a2", "b2")
    for index, path in enumerate((*train.paths, *test.paths)):
        with open(path, "wb") as file:
            file.write(bytes([index]) * 100)
    assert warnings_of(Splits(train, None, test)) == []


def test_files_that_are_gone_do_not_stop_the_search(pictures):
    train = pictures("a1", "b1")
    os.unlink(train.paths[0])
    assert warnings_of(Splits(train)) == []
