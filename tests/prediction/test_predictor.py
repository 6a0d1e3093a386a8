import io
import re
from concurrent.futures import ThreadPoolExecutor

import artifacts
import keras
import numpy as np
import photographs
import pretrained
import pytest
from PIL import Image

import keras_effnets
from keras_effnets import Predictor
from keras_effnets.export import (
    export_litert,
    export_onnx,
    export_openvino,
    export_saved_model,
    runtimes,
)
from keras_effnets.prediction.export_cache import weights_digest

ENGINES = ("keras", "tensorflow", "litert", "onnxruntime", "openvino")
COLOURS = {"red": (200, 30, 20), "green": (30, 190, 40), "blue": (20, 40, 210)}


@pytest.fixture(params=ENGINES)
def engine(request):
    return request.param


@pytest.fixture(scope="module")
def model():
    return artifacts.tiny()


@pytest.fixture
def images(tmp_path):
    """Red, green and blue files of several sizes."""
    for number, (name, rgb) in enumerate(COLOURS.items()):
        Image.new("RGB", (20 + number, 30), rgb).save(tmp_path / f"{name}.png")
    return [tmp_path / f"{name}.png" for name in COLOURS]


def test_every_engine_names_the_same(model, images, engine):
    predictor = Predictor(model, engine)
    assert (predictor.engine, predictor.precision) == (engine, "float32")
    assert predictor.labels == artifacts.LABELS
    assert predictor.preset == model.get_layer("preprocessing").preset
    answers = predictor(images)
    assert [best[0].name for best in answers] == list(COLOURS)
    batch = np.stack([keras_effnets.load_image(path, predictor.preset) for path in images])
    scores = predictor.scores(batch)
    wanted = model.predict_on_batch(batch)
    np.testing.assert_allclose(scores, wanted, atol=1e-5)
    assert answers[0][0].score == pytest.approx(wanted[0, 0], abs=1e-5)
    # A single image, and a larger batch than before.
    np.testing.assert_allclose(predictor.scores(batch[:1]), wanted[:1], atol=1e-5)
    np.testing.assert_allclose(predictor.scores(batch.repeat(3, 0)), wanted.repeat(3, 0), atol=1e-5)


def test_images_come_in_many_ways(model, images):
    predictor = Predictor(model, "keras", batch_size=2)
    image = Image.open(images[2])
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    pixels = np.asarray(image)
    ways = [images[2], str(images[2]), encoded.getvalue(), image, pixels, pixels.astype("f8")]
    answers = predictor(ways, top=2)
    assert [len(best) for best in answers] == [2] * len(ways)
    assert all(best[0] == answers[0][0] for best in answers)
    assert answers[0][0].name == "blue"
    for way in ways:
        assert predictor(way)[0].name == "blue"  # one image, one list
    assert [best[0].name for best in predictor(np.stack([pixels, pixels[..., ::-1]]))] == [
        "blue",
        "red",
    ]
    assert predictor([]) == []


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"no picture", "<10 bytes>: can't be read as an image"),
        (np.zeros((4, 4)), r"an image has shape \(4, 4\)"),
        (np.zeros((4, 4, 3), bool), "an image has type bool"),
    ],
)
def test_invalid_images_are_refused(model, image, message):
    with pytest.raises(ValueError, match=message):
        Predictor(model, "keras")([image])


def test_batches_of_another_shape_are_refused(model):
    with pytest.raises(ValueError, match=r"batch has shape \(1, 8, 8, 3\): expected \(B, \(16"):
        Predictor(model, "keras").scores(np.zeros((1, 8, 8, 3)))


def test_many_threads_at_once(model, engine):
    predictor = Predictor(model, engine)
    rng = np.random.default_rng(0)
    batches = [rng.uniform(0, 255, (1 + n % 3, 16, 16, 3)).astype("f") for n in range(24)]
    wanted = [predictor.scores(batch) for batch in batches]
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(predictor.scores, batches))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("options", [{"normalize": False}, {"activation": None}])
def test_normalisation_and_softmax_are_added_if_the_model_has_none(options, images, engine):
    outside = artifacts.tiny(**options)
    answers = Predictor(outside, engine)(images, top=3)
    assert [best[0].name for best in answers] == list(COLOURS)
    assert sum(each.score for each in answers[0]) == pytest.approx(1, abs=1e-5)


def test_exported_files(model, images, tmp_path):
    export_litert(model, tmp_path / "m.tflite")
    export_onnx(model, tmp_path / "m.onnx")
    export_openvino(model, tmp_path / "m.xml")
    export_saved_model(model, tmp_path / "served")
    model.save(tmp_path / "m.keras")
    wanted = Predictor(model, "keras")(images)
    for name, engine in {
        "m.tflite": "litert",
        "m.onnx": "onnxruntime",
        "m.xml": "openvino",
        "served": "tensorflow",
        "served/1": "tensorflow",
    }.items():
        predictor = Predictor(tmp_path / name)
        assert predictor.engine == engine
        answers = predictor(images)
        assert [best[0].name for best in answers] == list(COLOURS)
        assert answers[0][0].score == pytest.approx(wanted[0][0].score, abs=1e-5)
        with pytest.raises(ValueError, match=f"engine='keras': .* runs only on '{engine}'"):
            Predictor(tmp_path / name, "keras")
    assert Predictor(tmp_path / "m.keras", "keras")(images) == wanted
    (tmp_path / "m.onnx.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"m\.onnx\.json"):
        Predictor(tmp_path / "m.onnx")


def test_int8_by_calibration(model, images, tmp_path):
    predictor = Predictor(model, "litert", precision="int8", calibration=images)
    assert predictor.precision == "int8"
    assert [best[0].name for best in predictor(images)] == list(COLOURS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "tensorrt"}, "engine='tensorrt': expected one of"),
        ({"engine": "onnxruntime", "precision": "int8"}, "engine 'onnxruntime' computes in"),
        ({"precision": "int4"}, "precision='int4': expected one of"),
        ({"batch_size": 0}, "batch_size=0: expected 1 or more"),
        ({"threads": 0}, "threads=0: expected 1 or more"),
    ],
)
def test_wrong_arguments_are_refused(model, options, message):
    with pytest.raises(ValueError, match=message):
        Predictor(model, **options)


def test_wrong_models_are_refused(tmp_path):
    pixels = keras.Input((8, 8, 3))
    bare = keras.Model(pixels, keras.layers.GlobalAveragePooling2D()(pixels), name="bare")
    with pytest.raises(ValueError, match="'bare' has no layer named 'preprocessing'"):
        Predictor(bare)
    with pytest.raises(ValueError, match=r"expected a keras\.Model, a path that ends in"):
        Predictor(tmp_path / "weights.h5")
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        Predictor(tmp_path / "none.onnx")


def test_a_missing_engine_is_an_error_with_the_line_that_installs_it(model, monkeypatch):
    found = runtimes.importlib.util.find_spec
    monkeypatch.setattr(
        runtimes.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "openvino" else found(name, *rest),
    )
    with pytest.raises(ImportError, match=re.escape("pip install 'keras_effnets[openvino]'")):
        Predictor(model, "openvino")


def test_a_model_is_exported_once_and_again_when_its_weights_change(model, monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path))
    mine = keras.models.clone_model(model)
    mine.set_weights(model.get_weights())
    Predictor(mine, "litert")
    (first,) = (tmp_path / "exports").glob("*.tflite")
    stamp = first.stat().st_mtime_ns
    Predictor(mine, "litert")
    assert first.stat().st_mtime_ns == stamp
    before = weights_digest(mine)
    mine.get_layer("classifier").dense.bias.assign([0.0, 9.0, 0.0])
    assert weights_digest(mine) != before
    red = np.zeros((1, 16, 16, 3)) + COLOURS["red"]
    assert Predictor(mine, "litert").scores(red).argmax() == 1
    assert len(list((tmp_path / "exports").glob("*.tflite"))) == 2


@pytest.mark.full
@pytest.mark.parametrize("engine", ENGINES[1:])
def test_real_weights(engine):
    pretrained.checkpoint()
    model = keras_effnets.EfficientNetLite0()
    paths = photographs.paths()
    wanted = Predictor(model, "keras")(paths)
    found = Predictor(model, engine)(paths)
    assert [best[0].id for best in found] == [best[0].id for best in wanted]
    assert found[0][0].score == pytest.approx(wanted[0][0].score, rel=1e-4)
