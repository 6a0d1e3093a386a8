"""Properties of every exporter that writes a file."""

import json
import os
import re

import artifacts
import keras
import numpy as np
import pytest
import small_networks

import keras_effnets
from keras_effnets.export import (
    Artifact,
    ParityError,
    export_litert,
    export_onnx,
    export_openvino,
    runtimes,
)
from keras_effnets.export.artifact import beside
from keras_effnets.export.parity import probe_images, reference_outputs

EXPORTERS = {
    ".tflite": (export_litert, runtimes.LiteRT, "ai_edge_litert", "litert"),
    ".onnx": (export_onnx, runtimes.OnnxRuntime, "onnxruntime", "onnx"),
    ".xml": (export_openvino, runtimes.OpenVINO, "openvino", "openvino"),
}


@pytest.fixture(params=EXPORTERS)
def suffix(request):
    """Each format in turn, by the suffix of its files."""
    return request.param


@pytest.fixture
def model():
    return artifacts.tiny()


def check(family, suffix, folder):
    """Exports a family, and compares its outputs with the model's once more, by hand."""
    keras.utils.set_random_seed(1)
    model = artifacts.living(family)
    export, session, *_ = EXPORTERS[suffix]
    path = folder / f"{family}{suffix}"
    artifact = export(model, path)
    images = probe_images(model.input_shape[1:], 3)
    reference = reference_outputs(model, images)
    assert np.ptp(reference, axis=0).max() > 0.05, "the reference is the same for all images"
    # A batch size that it was not checked with, and a single image.
    opened = session(path)
    for count in (3, 1):
        outputs = opened.scores(images[:count])
        difference = np.abs(outputs - reference[:count]).max() / np.abs(reference).max()
        assert difference <= 1e-3
    assert artifact.parity.max_difference <= 1e-3
    assert Artifact.read(beside(path)) == artifact
    assert artifact.bytes == sum(
        each.stat().st_size for each in folder.iterdir() if each.suffix != ".json"
    )


@pytest.mark.parametrize("family", artifacts.QUICK)
def test_families(family, suffix, tmp_path):
    check(family, suffix, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("family", artifacts.REST)
def test_all_other_families(family, suffix, tmp_path):
    check(family, suffix, tmp_path)


@pytest.mark.full
@pytest.mark.parametrize("name", ["mobilenet_v3_large", "efficientnet_b0", "resnext50_32x4d"])
def test_full_size(name, suffix, tmp_path):
    model = keras_effnets.create_model(name, weights=None)
    small_networks.enliven(model)
    artifact = EXPORTERS[suffix][0](model, tmp_path / f"{name}{suffix}")
    assert artifact.parity.max_difference <= 1e-3
    assert artifact.parity.top1_agreement == 1


def test_the_description_says_how_to_use_it(model, suffix, tmp_path):
    path = tmp_path / f"m{suffix}"
    artifact = EXPORTERS[suffix][0](model, path)
    values = json.loads((tmp_path / f"m{suffix}.json").read_text("utf-8"))
    assert values["preset"] == model.get_layer("preprocessing").preset.to_dict()
    assert values["input_shape"] == [16, 16, 3]
    assert values["precision"] == "float32"
    assert values["normalizes"] is True
    assert values["release"] == keras_effnets.__version__
    assert str(artifact.parity) == (
        f"differs by at most {artifact.parity.max_difference:.1e} of the largest logit, the same "
        "first class for 100% of 4 images"
    )


def test_beyond_tolerance_nothing_is_left(model, suffix, tmp_path):
    with pytest.raises(ParityError, match=r"at most 0\.0e\+00 is allowed; the file was not kept"):
        EXPORTERS[suffix][0](model, tmp_path / f"m{suffix}", tolerance=0.0)
    assert artifacts.left_in(tmp_path) == []


def test_a_failure_leaves_what_was_there(model, suffix, tmp_path):
    path = tmp_path / f"m{suffix}"
    path.write_bytes(b"old")
    with pytest.raises(ParityError):
        EXPORTERS[suffix][0](model, path, tolerance=0.0)
    assert path.read_bytes() == b"old"
    assert artifacts.left_in(tmp_path) == [path.name]


def test_it_is_compared_on_the_images_given(model, suffix, tmp_path):
    images = np.full((7, 16, 16, 3), 120, np.uint8)
    artifact = EXPORTERS[suffix][0](model, tmp_path / f"m{suffix}", pictures=images)
    assert artifact.parity.pictures == 7
    with pytest.raises(ValueError, match=r"pictures have shape \(7, 8, 8, 3\): expected"):
        EXPORTERS[suffix][0](model, tmp_path / f"m{suffix}", pictures=images[:, ::2, ::2])


def test_wrong_paths_are_refused(model, suffix, tmp_path):
    export = EXPORTERS[suffix][0]
    with pytest.raises(ValueError, match=rf"expected a path ending in \{suffix}"):
        export(model, tmp_path / "m.model")
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        export(model, tmp_path / "none" / f"m{suffix}")


def test_an_unwritable_folder_is_refused(model, suffix, tmp_path, monkeypatch):
    # Root may write anywhere, whatever a folder's mode says.
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    with pytest.raises(PermissionError, match="can't be written to"):
        EXPORTERS[suffix][0](model, tmp_path / f"m{suffix}")
    assert artifacts.left_in(tmp_path) == []


def test_a_missing_engine_is_an_error_with_the_line_that_installs_it(
    model, suffix, tmp_path, monkeypatch
):
    export, _, module, extra = EXPORTERS[suffix]
    found = runtimes.importlib.util.find_spec
    monkeypatch.setattr(
        runtimes.importlib.util,
        "find_spec",
        lambda name, *rest: None if name == module else found(name, *rest),
    )
    line = re.escape(f"{module} is not installed: pip install 'keras_effnets[{extra}]'")
    with pytest.raises(ImportError, match=line):
        export(model, tmp_path / f"m{suffix}")
    assert artifacts.left_in(tmp_path) == []


def test_models_that_do_not_take_images_are_refused(suffix, tmp_path):
    vector = keras.Input((4,))
    dense = keras.Model(vector, keras.layers.Dense(2)(vector), name="vectors")
    anything = keras.Input((None, None, 3))
    pooled = keras.Model(anything, keras.layers.GlobalAveragePooling2D()(anything), name="sizeless")
    export = EXPORTERS[suffix][0]
    with pytest.raises(ValueError, match=r"'vectors' takes \(None, 4\).*expected one input"):
        export(dense, tmp_path / f"m{suffix}")
    with pytest.raises(ValueError, match="'sizeless' takes images of any size and has no preset"):
        export(pooled, tmp_path / f"m{suffix}")


def test_a_model_of_any_size_takes_its_presets(suffix, tmp_path):
    artifact = EXPORTERS[suffix][0](artifacts.tiny(None), tmp_path / f"m{suffix}")
    assert artifact.input_shape == (None, None, 3)
    scores = EXPORTERS[suffix][1](tmp_path / f"m{suffix}").scores(
        np.zeros((2, 16, 16, 3), np.float32)
    )
    assert scores.shape == (2, 3)


def test_another_backend_is_told_what_to_do(model, suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match=r"the Keras backend is 'jax'.*KERAS_BACKEND=tensorflow"):
        EXPORTERS[suffix][0](model, tmp_path / f"m{suffix}")
