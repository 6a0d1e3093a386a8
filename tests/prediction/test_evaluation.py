import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_effnets import Preset
from keras_effnets.images.folders import (
    LabelledImage,
    find_images,
    find_labelled_images,
    spread,
)
from keras_effnets.images.model_interface import model_labels
from keras_effnets.layers import Classifier, Preprocessing
from keras_effnets.prediction import evaluation as module
from keras_effnets.prediction.evaluation import evaluate, predict_images

SIDE = 8


def save_image(path: Path, colour: tuple[int, int, int] = (10, 20, 30)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (SIDE, SIDE), colour).save(path)
    return path


def broken(path: Path) -> Path:
    path.write_bytes(b"not an image")
    return path


def colour_model(activation: str | None = "softmax", normalize: bool = True, labels=None):
    """Classifies images by which of red, green and blue they have most of."""
    pixels = keras.Input((SIDE, SIDE, 3))
    preset = Preset(crop=SIDE, resize=SIDE, mean=(0, 0, 0), std=(255, 255, 255))
    x = Preprocessing(preset, normalize=normalize, name="preprocessing")(pixels)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = Classifier(3, activation=activation, labels=labels, name="classifier")(x)
    model = keras.Model(pixels, x, name="colours")
    model.get_layer("classifier").dense.set_weights([4 * np.eye(3), np.zeros(3)])
    return model


RED, GREEN, BLUE = (250, 0, 0), (0, 250, 0), (0, 0, 250)


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


@pytest.mark.parametrize("batch_size", [1, 2, 3, 16])
def test_outcomes_come_in_order_with_the_broken_in_their_places(tmp_path, batch_size):
    paths = [
        save_image(tmp_path / "0.png", RED),
        broken(tmp_path / "1.png"),
        save_image(tmp_path / "2.png", GREEN),
        save_image(tmp_path / "3.png", BLUE),
        tmp_path / "4.png",
        save_image(tmp_path / "5.png", RED),
    ]
    outcomes = list(predict_images(colour_model(), paths, batch_size=batch_size))
    assert [outcome.path for outcome in outcomes] == paths
    best = [None if each.scores is None else int(each.scores.argmax()) for each in outcomes]
    assert best == [0, None, 1, 2, None, 0]
    assert outcomes[1].error.startswith(f"{paths[1]}: can't be read as an image")
    assert outcomes[4].error == f"{paths[4]}: No such file or directory"


def test_every_batch_is_full_once_one_was(tmp_path, monkeypatch):
    sizes = []
    model = colour_model()
    predict = model.predict_on_batch
    monkeypatch.setattr(model, "predict_on_batch", lambda x: sizes.append(len(x)) or predict(x))
    paths = [save_image(tmp_path / f"{number}.png") for number in range(7)]
    paths.insert(1, broken(tmp_path / "broken.png"))
    assert len(list(predict_images(model, paths, batch_size=3))) == 8
    assert sizes == [3, 3, 3]  # another size would make TensorFlow trace the model again
    sizes.clear()
    assert len(list(predict_images(model, paths[:2], batch_size=3))) == 2
    assert sizes == [1]


def test_only_broken_pictures_and_none_at_all(tmp_path):
    (only,) = predict_images(colour_model(), [broken(tmp_path / "a.png")])
    assert only.scores is None
    assert list(predict_images(colour_model(), [])) == []


def test_decoding_runs_ahead_but_not_far(tmp_path, monkeypatch):
    started, enough = [], threading.Event()

    def load(path, preset):
        started.append(path)
        if len(started) == 6:
            enough.set()
        return np.zeros((SIDE, SIDE, 3), np.float32)

    monkeypatch.setattr(module, "load_image", load)
    paths = [Path(f"{number}.png") for number in range(40)]
    outcomes = predict_images(colour_model(), paths, batch_size=2)
    next(outcomes)
    # While the first two are returned, four more have been requested.
    assert enough.wait(60)
    assert len(started) <= 6
    outcomes.close()
    assert len(started) <= 6


def test_logits_become_probabilities(tmp_path):
    path = save_image(tmp_path / "red.png", RED)
    (wanted,) = predict_images(colour_model(), [path])
    (logits,) = predict_images(colour_model(activation=None), [path])
    np.testing.assert_allclose(logits.scores, wanted.scores, rtol=1e-5)
    assert logits.scores.sum() == pytest.approx(1)


def test_a_model_without_normalisation_gets_normalised_pixels(tmp_path):
    path = save_image(tmp_path / "red.png", RED)
    (inside,) = predict_images(colour_model(), [path])
    (outside,) = predict_images(colour_model(normalize=False), [path])
    np.testing.assert_allclose(outside.scores, inside.scores, rtol=1e-5)


def test_models_that_do_not_classify_images(tmp_path):
    path = save_image(tmp_path / "a.png")
    plain = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="no layer named 'preprocessing'"):
        list(predict_images(plain, [path]))
    model = colour_model()
    headless = keras.Model(model.inputs, model.get_layer("preprocessing").output)
    with pytest.raises(ValueError, match=r"returns \(None, 8, 8, 3\)"):
        list(predict_images(headless, [path]))
    preset = model.get_layer("preprocessing").preset
    for shape, message in (((SIDE, SIDE, 1), "expected RGB"), ((SIDE, 9, 3), r"makes \(8, 8, 3\)")):
        pixels = keras.Input(shape)
        outputs = Preprocessing(preset, name="preprocessing")(pixels)
        with pytest.raises(ValueError, match=message):
            list(predict_images(keras.Model(pixels, outputs), [path]))


@pytest.mark.parametrize("option", ["batch_size", "workers"])
def test_counts_below_one_are_refused(option):
    with pytest.raises(ValueError, match=f"{option}=0"):
        list(predict_images(colour_model(), [], **{option: 0}))


def test_labels():
    assert model_labels(colour_model()) is None
    assert model_labels(colour_model(labels=["red", "green", "blue"])) == ("red", "green", "blue")


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


def test_evaluation_counts_first_and_first_five_and_leaves_out_the_broken(tmp_path):
    images = [
        LabelledImage(save_image(tmp_path / "0.png", RED), 0),
        LabelledImage(save_image(tmp_path / "1.png", RED), 1),
        LabelledImage(broken(tmp_path / "2.png"), 0),
        LabelledImage(save_image(tmp_path / "3.png", BLUE), 2),
    ]
    steps = []
    result = evaluate(colour_model(), images, batch_size=2, progress=lambda: steps.append(1))
    assert (result.images, result.top1, result.top5) == (3, 2, 3)
    assert [each.path.name for each in result.broken] == ["2.png"]
    assert len(steps) == 4


def test_equal_scores_count_by_class_index(tmp_path):
    # Black gives every colour a third, so only the first class is the first answer.
    black = save_image(tmp_path / "black.png", (0, 0, 0))
    hits = [evaluate(colour_model(), [LabelledImage(black, target)]).top1 for target in range(3)]
    assert hits == [1, 0, 0]
