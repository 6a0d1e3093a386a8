import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from keras_effnets import Preset
from keras_effnets.images.folders import (
    LabelledImage,
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
