"""A conversion is total: each tensor is used, each variable set, or one error and no file."""

import json
from functools import partial

import h5py
import keras
import numpy as np
import pytest
from safetensors.numpy import save_file

import keras_effnets
from keras_effnets import cache
from keras_effnets.deferred import outline, variables_by_path
from keras_effnets.registry import get_builder
from keras_effnets.weights_file import WeightsFile
from weights_tools.checkpoint import CheckpointError
from weights_tools.convert import Conversion, convert
from weights_tools.rules import sources_of
from weights_tools.rules.rule import AXES

MODEL = "mobilenet_v2"


def source_tensors(
    model: str, source: str, classes: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Random tensors under the names and in the layout of one source."""
    builder = get_builder(model)
    shapes = outline(partial(builder, weights=None, classes=classes))
    rng = np.random.default_rng(seed)
    tensors = {}
    for rule in sources_of(builder.config)[source].rules(builder.config):
        shape = np.empty(len(AXES[rule.kind]), int)
        shape[list(AXES[rule.kind])] = shapes[rule.target]
        tensors[rule.source] = rng.uniform(0.5, 1.5, tuple(shape)).astype(np.float32)
        if rule.source.endswith("running_var"):
            tensors[rule.source.replace("running_var", "num_batches_tracked")] = np.array(7)
    return tensors


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    return source_tensors(MODEL, "torchvision")


@pytest.fixture
def write(tmp_path):
    def write_file(tensors, name="checkpoint.safetensors"):
        save_file(tensors, tmp_path / name)
        return tmp_path / name

    return write_file


@pytest.mark.parametrize(
    ("model", "source"),
    [
        ("efficientnet_b0", "torchvision"),
        ("efficientnet_b0", "efficientnet_pytorch"),
        ("efficientnet_lite0", "efficientnet_pytorch"),
        ("mobilenet_v2", "torchvision"),
    ],
)
def test_every_source_gives_every_variable_its_tensor(model, source, write):
    path = write(source_tensors(model, source))
    builder = get_builder(model)
    conversion = Conversion(path, builder.config)
    assert conversion.source == source
    assert conversion.profile == sources_of(builder.config)[source].profile
    shapes = outline(partial(builder, weights=None))
    values = conversion.values(shapes)
    assert values.keys() == shapes.keys()
    assert {name: value().shape for name, value in values.items()} == shapes
    assert all(name.endswith("num_batches_tracked") for name in conversion.left_out)


def test_transposes_put_each_number_where_the_layout_says(tensors, write):
    values = Conversion(write(tensors), get_builder(MODEL).config).values(
        outline(partial(get_builder(MODEL), weights=None))
    )
    conv, depthwise = tensors["features.0.0.weight"], tensors["features.1.conv.0.0.weight"]
    assert values["stem/conv/kernel"]()[0, 2, 1, 5] == conv[5, 1, 0, 2]
    assert values["stage1_block0/depthwise/conv/kernel"]()[0, 2, 9, 0] == depthwise[9, 0, 0, 2]
    assert values["classifier/dense/kernel"]()[30, 4] == tensors["classifier.1.weight"][4, 30]


def test_one_error_lists_all_that_is_missing_unexpected_and_misshaped(tensors, write, tmp_path):
    wrong = dict(tensors)
    del wrong["features.3.conv.1.0.weight"]
    wrong["features.7.conv.4.weight"] = np.zeros(3, np.float32)
    wrong["features.0.0.weight"] = np.zeros((32, 3, 5, 5), np.float32)
    out = tmp_path / "out.safetensors"
    with pytest.raises(CheckpointError) as caught:
        convert(write(wrong), MODEL, out)
    message = str(caught.value)
    assert "missing: features.3.conv.1.0.weight" in message
    assert "unexpected: features.7.conv.4.weight" in message
    assert "mis-shaped: features.0.0.weight is (32, 3, 5, 5)" in message
    assert len(message.splitlines()) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


@pytest.mark.parametrize("ending", [".safetensors", ".keras", ".weights.h5"])
def test_a_checkpoint_of_another_model_writes_nothing(ending, write, tmp_path):
    path = write(source_tensors("efficientnet_lite0", "efficientnet_pytorch"))
    with pytest.raises(CheckpointError, match=r"no checkpoint of mobilenet_v2.*torchvision 0 of"):
        convert(path, MODEL, tmp_path / f"out{ending}")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_larger_sibling_is_not_taken_for_the_model(write, tmp_path):
    tensors = source_tensors("efficientnet_lite1", "efficientnet_pytorch")
    with pytest.raises(CheckpointError, match="unexpected"):
        convert(write(tensors), "efficientnet_lite0", tmp_path / "out.safetensors")


def test_an_unknown_ending_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(ValueError, match=r"out=.*\.onnx"):
        convert(tmp_path / "absent.pth", MODEL, tmp_path / "model.onnx")


@pytest.mark.parametrize("ending", [".safetensors", ".keras", ".weights.h5"])
def test_every_output_loads_with_the_checkpoints_numbers(ending, tensors, write, tmp_path):
    path, out = write(tensors), tmp_path / f"out{ending}"
    report = convert(path, MODEL, out)
    assert (report.source, report.profile, report.classes) == ("torchvision", "torch", 1000)
    direct = keras_effnets.MobileNetV2(weights=path)
    loaded = keras_effnets.MobileNetV2(weights=out)
    for expected, found in zip(direct.weights, loaded.weights, strict=True):
        assert expected.path == found.path
        np.testing.assert_array_equal(expected.numpy(), found.numpy())


def test_the_header_tells_where_the_numbers_came_from(tensors, write, tmp_path):
    path, out = write(tensors), tmp_path / "out.safetensors"
    convert(path, MODEL, out)
    header = WeightsFile(out).metadata
    assert header["model"] == MODEL
    assert header["profile"] == "torch"
    assert header["source_file"] == path.name
    assert header["source_sha256"] == cache.sha256(path)
    assert json.loads(header["preset"])["crop"] == 224
    convert(path, MODEL, tmp_path / "out.weights.h5")
    with h5py.File(tmp_path / "out.weights.h5") as file:
        assert json.loads(file.attrs["keras_effnets"])["source_sha256"] == cache.sha256(path)


def test_another_number_of_classes_leaves_the_head_out_and_says_so(tensors, write, caplog):
    path = write(tensors)
    with caplog.at_level("INFO", logger="keras_effnets"):
        model = keras_effnets.MobileNetV2(weights=path, classes=3)
    assert "classifier/dense/kernel, classifier/dense/bias: not in" in caplog.text
    weights = variables_by_path(model)
    stem = tensors["features.0.0.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(weights["stem/conv/kernel"].numpy(), stem)
    assert weights["classifier/dense/kernel"].shape == (1280, 3)
    body = keras_effnets.MobileNetV2(weights=path, include_top=False, pooling="avg")
    np.testing.assert_array_equal(variables_by_path(body)["stem/conv/kernel"].numpy(), stem)


def test_a_fine_tuned_checkpoint_keeps_its_head(write, tmp_path):
    tensors = source_tensors(MODEL, "torchvision", classes=5)
    path = write(tensors)
    expected = tensors["classifier.1.bias"]
    report = convert(path, MODEL, tmp_path / "five.safetensors")
    assert report.classes == 5
    for weights in (path, tmp_path / "five.safetensors"):
        model = keras_effnets.MobileNetV2(weights=weights, classes=5)
        bias = variables_by_path(model)["classifier/dense/bias"]
        np.testing.assert_array_equal(bias.numpy(), expected)
        with pytest.raises(ValueError, match=r"(?s)does not fit the model.*classifier"):
            keras_effnets.MobileNetV2(weights=weights)  # 1000 classes were not asked away


def test_half_precision_is_cast(tensors, write):
    halves = {name: t.astype(np.float16) if t.ndim else t for name, t in tensors.items()}
    model = keras_effnets.MobileNetV2(weights=write(halves))
    kernel = variables_by_path(model)["stem/conv/kernel"]
    assert kernel.dtype == "float32"
    expected = tensors["features.0.0.weight"].astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(kernel.numpy(), expected.transpose(2, 3, 1, 0))


def test_our_file_of_another_model_is_refused(tensors, write, tmp_path):
    convert(write(tensors), MODEL, tmp_path / "out.safetensors")
    with pytest.raises(ValueError, match="holds weights of mobilenet_v2, not of efficientnet_b0"):
        keras_effnets.EfficientNetB0(weights=tmp_path / "out.safetensors")
    with pytest.raises(ValueError, match="profile='tensorflow'"):
        keras_effnets.MobileNetV2(weights=tmp_path / "out.safetensors", profile="tensorflow")


def test_a_damaged_file_of_ours_is_refused(tensors, write, tmp_path):
    out = tmp_path / "out.safetensors"
    convert(write(tensors), MODEL, out)
    out.write_bytes(out.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"out\.safetensors"):
        keras_effnets.MobileNetV2(weights=out)


def test_a_loaded_weight_draws_no_random_number(tensors, write, monkeypatch):
    path = write(tensors)

    def no_draw(self, shape, dtype=None):
        raise AssertionError(f"drew {shape}")

    monkeypatch.setattr("keras_effnets.layers.initializers.FanOutUniform.__call__", no_draw)
    keras_effnets.MobileNetV2(weights=path)
    with pytest.raises(AssertionError, match="drew"):
        keras_effnets.MobileNetV2(weights=path, classes=3)


def test_keras_saves_and_loads_a_converted_model(tensors, write, tmp_path):
    model = keras_effnets.MobileNetV2(weights=write(tensors))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    picture = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(picture), again(picture))
