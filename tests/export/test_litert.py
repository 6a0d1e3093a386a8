import os

import artifacts
import numpy as np
import photographs
import pretrained
import pytest
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import keras_effnets
from keras_effnets.export import Artifact, export_litert
from keras_effnets.export.artifact import beside
from keras_effnets.export.runtimes import LiteRT
from keras_effnets.images.folders import LabelledImage
from keras_effnets.images.model_interface import model_preset
from keras_effnets.images.preprocessing import load_image

RNG = np.random.default_rng(0)
COLOURS = {"red": (200, 30, 20), "green": (30, 190, 40), "blue": (20, 40, 210)}


def coloured(folder, per_class=2):
    """Class folders of noisy red, green and blue images."""
    for name, rgb in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(per_class):
            noise = RNG.integers(-20, 20, (20, 24, 3))
            pixels = np.clip(np.asarray(rgb) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


def dtypes(path, *names):
    """Types of all tensors, weights too, whose names contain one of the given names."""
    tensors = Interpreter(model_path=str(path)).get_tensor_details()
    return {
        tensor["dtype"].__name__
        for tensor in tensors
        if any(name in tensor["name"] for name in names)
    }


@pytest.fixture(scope="module")
def model():
    return artifacts.tiny()


def test_int8_reports_its_cost(model, tmp_path):
    calibration = coloured(tmp_path / "calibration", 4)
    labelled = coloured(tmp_path / "labelled", 3)
    path = tmp_path / "m.tflite"
    artifact = export_litert(model, path, "int8", calibration=calibration, labelled=labelled)
    cost = artifact.rounding
    assert (cost.pictures, cost.labelled) == (12, 9)
    assert (cost.top1_before, cost.top1_after, cost.labelled_agreement) == (1, 1, 1)
    assert cost.agreement == 1
    assert len(cost.output_errors) == 3
    assert 0 < max(cost.output_errors) < 0.1
    assert 0 < cost.mean_error <= max(cost.output_errors)
    assert 0 < cost.kl_divergence < 0.01
    assert Artifact.read(beside(path)) == artifact
    assert sorted(each.name for each in tmp_path.glob("*.*")) == ["m.tflite", "m.tflite.json"]


def test_int8_takes_files_and_arrays(model, tmp_path):
    files = sorted(coloured(tmp_path / "calibration").rglob("*.png"))
    pixels = np.stack([load_image(path, model_preset(model)) for path in files])
    by_files, by_pixels = (tmp_path / f"{name}.tflite" for name in ("files", "pixels"))
    export_litert(model, by_files, "int8", calibration=files)
    export_litert(model, by_pixels, "int8", calibration=pixels.astype(np.uint8))
    image = pixels[:1]
    assert np.array_equal(LiteRT(by_files).scores(image), LiteRT(by_pixels).scores(image))


def test_a_model_that_does_not_normalise_is_calibrated_as_it_is_run(tmp_path):
    outside = artifacts.tiny(normalize=False)
    calibration = coloured(tmp_path / "calibration")
    artifact = export_litert(outside, tmp_path / "m.tflite", "int8", calibration=calibration)
    assert artifact.normalizes is False
    assert artifact.rounding.agreement == 1


def test_layers_are_kept_in_float(model, tmp_path):
    calibration = coloured(tmp_path / "calibration", 4)
    options = {"quantize": "int8", "calibration": calibration}
    export_litert(model, tmp_path / "a.tflite", **options)
    kept = export_litert(model, tmp_path / "b.tflite", **options, keep_float=["conv", "classifier"])
    assert kept.rounding.kept_float == ("conv", "classifier")
    assert dtypes(tmp_path / "a.tflite", "/conv_1/", "/dense_1/") == {"int8", "int32"}
    assert dtypes(tmp_path / "b.tflite", "/conv_1/", "/dense_1/") == {"float32"}
    assert Artifact.read(tmp_path / "b.tflite.json") == kept


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quantize": "int8"}, "calibration=None: int8 needs real images"),
        ({"quantize": "int8", "calibration": []}, r"calibration=\[\]: int8 needs images"),
        (
            {"quantize": "int8", "calibration": np.zeros((2, 8, 8, 3))},
            r"calibration has shape \(2, 8, 8, 3\)",
        ),
        ({"quantize": "int4"}, "quantize='int4': expected one of"),
        ({"calibration": "images"}, "are for 'int8' only"),
        ({"keep_float": ["conv"]}, "are for 'int8' only"),
        (
            {"quantize": "int8", "calibration": np.zeros((1, 16, 16, 3)), "keep_float": ["kernel"]},
            "keep_float: there is no layer 'kernel'; the folded model has preprocessing, conv",
        ),
        (
            {"quantize": "int8", "calibration": np.zeros((1, 16, 16, 3)), "labelled": []},
            r"labelled=\[\]: there are no images",
        ),
    ],
)
def test_invalid_arguments_are_refused(model, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_litert(model, tmp_path / "m.tflite", **options)
    assert artifacts.left_in(tmp_path) == []


def test_a_broken_calibration_image_is_named(model, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png: can't be read as an image"):
        export_litert(model, tmp_path / "m.tflite", "int8", calibration=tmp_path)
    with pytest.raises(FileNotFoundError, match="there is no such file or folder"):
        export_litert(model, tmp_path / "m.tflite", "int8", calibration=tmp_path / "none")


def test_nothing_is_printed(model, tmp_path, capfd):
    export_litert(model, tmp_path / "a.tflite")
    export_litert(
        model, tmp_path / "b.tflite", "int8", calibration=RNG.integers(0, 255, (2, 16, 16, 3))
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.full
def test_lite0_keeps_its_answers_in_int8(tmp_path):
    """Real weights; calibrated on three of the photographs, tested on the other three."""
    pretrained.checkpoint()
    model = keras_effnets.EfficientNetLite0()
    paths = photographs.paths()
    plain = export_litert(model, tmp_path / "a.tflite")
    best = [
        int(
            LiteRT(tmp_path / "a.tflite")
            .scores(load_image(path, model_preset(model))[None])
            .argmax()
        )
        for path in paths
    ]
    labelled = [LabelledImage(*pair) for pair in zip(paths[3:], best[3:], strict=True)]
    rounded = export_litert(
        model, tmp_path / "b.tflite", "int8", calibration=paths[:3], labelled=labelled
    )
    assert rounded.rounding.top1_after == 1
    assert rounded.rounding.kl_divergence < 0.1
    assert rounded.bytes <= 0.3 * plain.bytes
    halved = export_litert(model, tmp_path / "c.tflite", "float16")
    assert halved.bytes <= 0.51 * plain.bytes
    assert os.path.getsize(tmp_path / "c.tflite") == halved.bytes
