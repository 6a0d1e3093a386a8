from pathlib import Path

import pytest
from PIL import Image

from keras_effnets.images.folders import find_images, find_labelled_images, spread


def save_image(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (10, 20, 30)).save(path)
    return path


def relative(paths, root):
    return [path.relative_to(root).as_posix() for path in paths]


def test_folders_are_searched_in_sorted_order_without_what_is_hidden(tmp_path):
    for name in ("b.png", "a/z.JPG", "a/b/c.jpeg", ".hidden.png", ".cache/x.png"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "notes.txt").touch()
    assert relative(find_images([tmp_path]), tmp_path) == ["b.png", "a/z.JPG", "a/b/c.jpeg"]


def test_patterns_files_and_folders_mix_and_each_image_comes_once(tmp_path):
    for name in ("a.png", "b.png", "c.jpg", "deep/er/d.png"):
        save_image(tmp_path / name)
    given = [tmp_path / "b.png", tmp_path / "*.png", tmp_path]
    assert relative(find_images(given), tmp_path) == ["b.png", "a.png", "c.jpg", "deep/er/d.png"]
    found = find_images([tmp_path / "**" / "*.png"])
    assert relative(found, tmp_path) == ["a.png", "b.png", "deep/er/d.png"]


def test_a_file_that_is_named_may_have_any_ending_and_looks_of_a_pattern(tmp_path):
    odd = save_image(tmp_path / "a[1].png").rename(tmp_path / "a[1].dat")
    assert find_images([odd]) == [odd]


@pytest.mark.parametrize("name", ["missing.png", "*.png"])
def test_nothing_there(tmp_path, name):
    with pytest.raises(FileNotFoundError, match="no"):
        find_images([tmp_path / name])


def test_folder_without_images(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ValueError, match=r"contains no images.*\.png"):
        find_images([tmp_path])


@pytest.mark.parametrize(
    "name",
    [
        "n01443537_goldfish.JPEG",
        "n01443537.png",
        "n01443537_10026.JPEG",
        "ILSVRC2012_val_1_n01443537.png",
    ],
)
def test_files_named_by_wordnet_id(tmp_path, name):
    (tmp_path / name).touch()
    found = find_labelled_images(tmp_path, 1000)
    assert found.images == [(tmp_path / name, 1)]
    assert found.named_by == "WordNet id"


def test_files_without_a_known_wordnet_id(tmp_path):
    for name in ("n01443537_goldfish.png", "n99999999_unicorn.png", "cat.png", "n014435371.png"):
        (tmp_path / name).touch()
    with pytest.raises(ValueError, match=r"3 of 4 images \(cat\.png, .*1000 classes"):
        find_labelled_images(tmp_path, 1000)


def test_folders_named_by_wordnet_id_need_not_be_all(tmp_path):
    save_image(tmp_path / "n01443537" / "a.png")
    save_image(tmp_path / "n01440764" / "deep" / "b.png")
    found = find_labelled_images(tmp_path, 1000)
    assert [target for _, target in found.images] == [0, 1]
    assert found.named_by == "WordNet id"


def test_folders_named_by_label(tmp_path):
    for name in ("red", "blue"):
        save_image(tmp_path / name / "a.png")
    found = find_labelled_images(tmp_path, 3, ["red", "green", "blue"])
    assert [(path.parent.name, target) for path, target in found.images] == [
        ("blue", 2),
        ("red", 0),
    ]
    assert found.named_by == "label"


def test_folders_named_by_number_are_not_sorted_as_text(tmp_path):
    for number in range(11):
        save_image(tmp_path / str(number) / "a.png")
    found = find_labelled_images(tmp_path, 11)
    assert all(int(path.parent.name) == target for path, target in found.images)
    assert found.named_by == "class number"


def test_as_many_folders_as_classes_count_in_sorted_order(tmp_path):
    for name in ("tee", "ale", "mead"):
        save_image(tmp_path / name / "a.png")
    found = find_labelled_images(tmp_path, 3)
    assert [(path.parent.name, target) for path, target in found.images] == [
        ("ale", 0),
        ("mead", 1),
        ("tee", 2),
    ]
    assert found.named_by == "sorted order"


@pytest.mark.parametrize(
    ("classes", "labels", "message"),
    [
        (2, None, "3 of 3 subfolders .* 2 classes; expected numbers below 2, or 2 subfolders"),
        (1000, None, "3 of 3 subfolders .* expected names like n01440764, "),
        # With labels, the sorted order would mix up two of these.
        (3, ["ale", "tee", "milk"], r"1 of 3 subfolders \(mead\) .* expected names like ale"),
    ],
)
def test_folders_of_unknown_classes(tmp_path, classes, labels, message):
    for name in ("tee", "ale", "mead"):
        save_image(tmp_path / name / "a.png")
    with pytest.raises(ValueError, match=message):
        find_labelled_images(tmp_path, classes, labels)


def test_folders_that_cannot_be_evaluated(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        find_labelled_images(tmp_path / "missing", 3)
    with pytest.raises(ValueError, match="contains no images"):
        find_labelled_images(tmp_path, 3)
    stray = save_image(tmp_path / "stray.png")
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        find_labelled_images(stray, 3)
    save_image(tmp_path / "0" / "a.png")
    with pytest.raises(ValueError, match=r"both images \(stray\.png, …\) and subfolders"):
        find_labelled_images(tmp_path, 3)


def test_spread_is_even_and_whole():
    assert spread(range(10), 3) == [0, 3, 6]
    assert spread(range(4), 9) == [0, 1, 2, 3]
    assert spread([], 5) == []
