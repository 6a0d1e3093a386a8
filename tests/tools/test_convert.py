"""A conversion is total: each tensor is used, each variable set, or one error and no file."""

import contextlib
import json
from functools import partial

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest
import running
from safetensors.numpy import save_file
from shrinking import shallow

import keras_effnets
from keras_effnets.models import efficientnet, efficientnet_lite, mobilenet_v2
from keras_effnets.models.registry import get_builder
from keras_effnets.plan.deferred import outline, variables_by_path
from keras_effnets.weights import cache
from keras_effnets.weights.names.rule import AXES
from weights_tools import cli
from weights_tools.convert import Conversion, convert
from weights_tools.export_source import find_source
from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint
from weights_tools.formats.our_format import WeightsFile

MODEL = "mobilenet_v2"


def source_tensors(
    model: str, source: str, classes: int = 1000, seed: int = 0
) -> dict[str, np.ndarray]:
    """Random tensors under the names and in the layout of one source."""
    builder = get_builder(model)
    shapes = outline(partial(builder, weights=None, classes=classes))
    rng = np.random.default_rng(seed)
    tensors = {}
    for rule in builder.config.spellings[source].rules(builder.config):
        shape = np.empty(len(AXES[rule.kind]), int)
        shape[list(AXES[rule.kind])] = shapes[rule.target]
        tensors[rule.source] = rng.uniform(0.5, 1.5, tuple(shape)).astype(np.float32)
        if rule.source.endswith("running_var"):
            tensors[rule.source.replace("running_var", "num_batches_tracked")] = np.array(7)
    return tensors


def few_blocks():
    return shallow(efficientnet, efficientnet_lite, mobilenet_v2)


@pytest.fixture
def whole():
    """For a test that needs the networks as they are: keras.applications has no others."""


@pytest.fixture(autouse=True)
def few_blocks_unless_whole(request):
    with contextlib.nullcontext() if "whole" in request.fixturenames else few_blocks():
        yield


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    with few_blocks():
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
        ("efficientnet_b0", "timm"),
        ("efficientnet_b0", "timm_tf"),
        ("efficientnet_b0", "keras"),
        ("efficientnet_b0", "qubvel"),
        ("efficientnet_lite0", "timm"),
        ("efficientnet_lite0", "timm_tf"),
        ("mobilenet_v2", "timm"),
        ("mobilenet_v2", "keras"),
    ],
)
def test_every_source_gives_every_variable_its_tensor(model, source, write):
    path = write(source_tensors(model, source))
    builder = get_builder(model)
    conversion = Conversion(path, builder.config, source=source)
    assert conversion.source == source
    assert conversion.profile == builder.config.spellings[source].profile
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
    with pytest.raises(CheckpointError, match=r"not a checkpoint of mobilenet_v2.*torchvision 0 "):
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
    convert(path, MODEL, tmp_path / "out.keras")
    told = read_checkpoint(tmp_path / "out.keras").metadata
    assert told["source_sha256"] == cache.sha256(path)
    assert told["preset"] == header["preset"]
    convert(path, MODEL, tmp_path / "out.weights.h5")
    assert read_checkpoint(tmp_path / "out.weights.h5").metadata.items() <= told.items()
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
    with pytest.raises(ValueError, match="has weights of mobilenet_v2, not of efficientnet_b0"):
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

    monkeypatch.setattr("keras_effnets.layers.chain.FanOutUniform.__call__", no_draw)
    keras_effnets.MobileNetV2(weights=path)
    with pytest.raises(AssertionError, match="drew"):
        keras_effnets.MobileNetV2(weights=path, classes=3)


def test_keras_saves_and_loads_a_converted_model(tensors, write, tmp_path):
    model = keras_effnets.MobileNetV2(weights=write(tensors))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    picture = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    np.testing.assert_array_equal(model(picture), again(picture))


def test_two_sources_with_the_same_names_are_told_apart_or_refused(write, tmp_path):
    tensors = source_tensors("efficientnet_lite0", "timm")
    config = get_builder("efficientnet_lite0").config
    path = write(tensors, "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"timm or timm_tf.*--source timm or --source timm_tf"
    ):
        Conversion(path, config)
    for profile, source in (("torch", "timm"), ("tensorflow", "timm_tf")):
        assert Conversion(path, config, profile=profile).source == source
        model = keras_effnets.EfficientNetLite0(weights=path, profile=profile)
        assert model.get_layer("stem").padding == {"timm": "symmetric", "timm_tf": "same"}[source]
    named = Conversion(write(tensors, "tf_efficientnet_lite0.safetensors"), config)
    assert named.source == "timm_tf"
    assert "by its file name" in named.evidence
    assert named.preset.mean == named.preset.std == (127.5, 127.5, 127.5)


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize(
    ("architecture", "source"),
    [("efficientnet_lite0", "timm"), ("tf_efficientnet_lite0", "timm_tf")],
)
def test_timms_config_beside_a_checkpoint_is_heard(architecture, source, nested, write, tmp_path):
    path = write(source_tensors("efficientnet_lite0", "timm"), "model.safetensors")
    told = {
        "mean": [0.1, 0.2, 0.3],
        "std": [0.4, 0.5, 0.6],
        "input_size": [3, 260, 260],
        "crop_pct": 0.9,
        "interpolation": "bilinear",
    }
    written = {"architecture": architecture, **({"pretrained_cfg": told} if nested else told)}
    (tmp_path / "config.json").write_text(json.dumps(written))
    report = convert(path, "efficientnet_lite0", tmp_path / "out.safetensors")
    assert report.source == source
    assert f"config.json beside it: {architecture}" in report.evidence
    assert report.preset_origin == "config.json beside the file"
    preset = keras_effnets.EfficientNetLite0(weights=report.out).get_layer("preprocessing").preset
    assert preset == report.preset
    assert (preset.crop, preset.resize, preset.interpolation) == (260, 288, "bilinear")
    assert preset.mean == pytest.approx((25.5, 51, 76.5))
    assert preset.std == pytest.approx((102, 127.5, 153))


@pytest.mark.parametrize(
    "text", ['{"architecture": "tf_efficientnet_lite1"}', "[", "[]", '{"architecture": 3}']
)
def test_another_config_beside_a_checkpoint_is_not(text, write, tmp_path):
    path = write(source_tensors("efficientnet_lite0", "timm"), "model.safetensors")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match="timm or timm_tf"):
        Conversion(path, get_builder("efficientnet_lite0").config)
    assert Conversion(path, get_builder("efficientnet_lite0").config, source="timm").preset


def test_a_config_beside_a_checkpoint_that_is_no_preset_is_refused(write, tmp_path):
    path = write(source_tensors(MODEL, "timm"))
    (tmp_path / "config.json").write_text('{"architecture": "mobilenetv2_100", "crop_pct": 0}')
    with pytest.raises(ValueError, match=r"config\.json: .*zero"):
        convert(path, MODEL, tmp_path / "out.safetensors")


def test_a_source_can_be_named_and_a_wrong_name_lists_those_there_are(tensors, write, tmp_path):
    path, out = write(tensors), tmp_path / "out.safetensors"
    with pytest.raises(ValueError, match=r"source='tim'.*MobileNetV2's: torchvision, timm, keras"):
        convert(path, MODEL, out, source="tim")
    with pytest.raises(CheckpointError, match=r"of mobilenet_v2 from timm.*torchvision \d+ of \d+"):
        convert(path, MODEL, out, source="timm")
    assert not out.exists()
    assert convert(path, MODEL, out, source="torchvision").source == "torchvision"


@pytest.fixture
def few_stages(monkeypatch):
    """EfficientNet of its first two stages."""
    monkeypatch.setattr(efficientnet, "STAGES", efficientnet.STAGES[:2])


@pytest.mark.usefixtures("few_stages")
@pytest.mark.parametrize("ending", [".safetensors", ".keras", ".weights.h5"])
def test_timms_epsilon_travels_where_torchvisions_is_another(ending, write, tmp_path):
    path = write(source_tensors("efficientnet_b5", "timm"))
    assert keras_effnets.EfficientNetB5(weights=None).get_layer("stem").epsilon == 1e-3
    convert(path, "efficientnet_b5", tmp_path / f"out{ending}", source="timm")
    model = keras_effnets.EfficientNetB5(weights=tmp_path / f"out{ending}")
    assert model.get_layer("stem").epsilon == model.get_layer("stage2_block2").epsilon == 1e-5
    # And from there back to timm, whose epsilon that is.
    assert find_source(tmp_path / f"out{ending}", "efficientnet_b5", None).epsilon == 1e-5


def half_of(tensors, kind):
    """Every second weight in another type."""
    return {
        name: t.astype(kind) if t.ndim and number % 2 else t
        for number, (name, t) in enumerate(tensors.items())
    }


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
def test_other_floats_are_cast_and_counted(kind, tensors, write, tmp_path):
    mixed = half_of(tensors, np.dtype(getattr(ml_dtypes, kind, kind)))
    expected = sum(t.dtype.name == kind for t in mixed.values())
    report = convert(write(mixed), MODEL, tmp_path / "out.safetensors")
    assert report.cast == {kind: expected}
    assert expected > 40
    kernel = WeightsFile(report.out).values()["classifier/dense/kernel"]()
    assert kernel.dtype == np.float32
    source = mixed["classifier.1.weight"].astype(np.float32).T
    np.testing.assert_array_equal(kernel, source)


def test_integers_are_no_weights(tensors, write, tmp_path):
    wrong = {**tensors, "features.0.0.weight": np.ones((32, 3, 3, 3), np.int32)}
    with pytest.raises(CheckpointError, match=r"not floats: features\.0\.0\.weight .* int32"):
        convert(write(wrong), MODEL, tmp_path / "out.safetensors")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_numbers_that_are_none_are_refused_by_name_unless_allowed(value, tensors, write, tmp_path):
    wrong = dict(tensors)
    names = [name for name in wrong if name.endswith("running_var")][:5]
    for name in names:
        wrong[name] = wrong[name].astype(np.float64)
        wrong[name][3] = value
    path, out = write(wrong), tmp_path / "out.safetensors"
    expected = f"NaN or infinity in {', '.join(names[:3])} and 2 more: --allow-nonfinite"
    for attempt in (
        lambda: convert(path, MODEL, out),
        lambda: keras_effnets.MobileNetV2(weights=path),
    ):
        with pytest.raises(CheckpointError) as caught:
            attempt()
        assert expected in str(caught.value)
    assert not out.exists()
    convert(path, MODEL, out, allow_nonfinite=True)
    model = keras_effnets.MobileNetV2(weights=out)
    found = variables_by_path(model)["stem/norm/moving_variance"].numpy()
    np.testing.assert_array_equal(found[3], np.float32(value) if value != 1e300 else np.inf)


@pytest.mark.parametrize("ending", [".safetensors", ".keras", ".weights.h5"])
def test_without_a_classifier_the_rest_is_converted(ending, write, tmp_path):
    tensors = source_tensors(MODEL, "timm")
    del tensors["classifier.weight"], tensors["classifier.bias"]
    path, out = write(tensors), tmp_path / f"out{ending}"
    report = convert(path, MODEL, out)
    counters = sum(name.endswith("num_batches_tracked") for name in tensors)
    expected = (0, "none in the file", len(tensors) - counters)
    assert (report.classes, report.head, report.tensors) == expected
    for weights in (path, out):
        body = keras_effnets.MobileNetV2(weights=weights, include_top=False)
        kernel = variables_by_path(body)["top/conv/kernel"].numpy()
        np.testing.assert_array_equal(kernel, tensors["conv_head.weight"].transpose(2, 3, 1, 0))
        assert keras_effnets.MobileNetV2(weights=weights, classes=7).output_shape == (None, 7)
        with pytest.raises(ValueError, match="has no classifier: pass include_top=False"):
            keras_effnets.MobileNetV2(weights=weights)


def test_a_classifier_can_be_left_out(tensors, write, tmp_path):
    report = convert(write(tensors), MODEL, tmp_path / "out.safetensors", include_top=False)
    assert (report.classes, report.head) == (0, "left out, as asked")
    assert {"classifier.1.weight", "classifier.1.bias"} <= set(report.left_out)
    assert "classifier/dense/kernel" not in WeightsFile(report.out).shapes()


@pytest.fixture
def keras_body(whole):
    return keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", input_shape=(32, 32, 3)
    )


def test_several_dense_layers_are_no_classifier(keras_body, tmp_path):
    top = [keras.layers.Dense(8, name="hidden"), keras.layers.Dense(3, name="answer")]
    path = tmp_path / "theirs.keras"
    keras.Sequential([keras_body, *top]).save(path)
    with pytest.raises(CheckpointError) as caught:
        convert(path, MODEL, tmp_path / "out.safetensors")
    for part in ("answer/kernel (8, 3)", "hidden/kernel (1280, 8)", "--no-top"):
        assert part in str(caught.value)
    assert not (tmp_path / "out.safetensors").exists()
    with pytest.raises(CheckpointError, match="answer/kernel"):
        keras_effnets.MobileNetV2(weights=path, classes=3)
    report = convert(path, MODEL, tmp_path / "out.safetensors", include_top=False)
    assert set(report.left_out) == {f"{n}/{v}" for n in ("hidden", "answer") for v in VARIABLES}
    assert report.place == f"{keras_body.name}/"
    assert keras_effnets.MobileNetV2(weights=path, include_top=False).output_shape[-1] == 1280


VARIABLES = ("kernel", "bias")


def test_what_surrounds_a_network_is_not_lost_silently(keras_body, tmp_path):
    layers = keras.layers
    around = {
        "in front": ([layers.Normalization(name="n"), keras_body], "n/mean", False),
        "behind": ([keras_body, layers.BatchNormalization(name="n")], "n/gamma", True),
        "of convolutions": ([layers.Conv2D(3, 1, name="n"), keras_body], "n/kernel", False),
    }
    for name, (parts, tensor, can_go) in around.items():
        path = tmp_path / f"{name}.keras"
        model = keras.Sequential([keras.Input((32, 32, 3)), *parts, layers.Dense(3, name="head")])
        model.save(path)
        with pytest.raises(CheckpointError, match=f"unexpected: {tensor}"):
            convert(path, MODEL, tmp_path / "out.safetensors")
        if can_go:
            convert(path, MODEL, tmp_path / "out.safetensors", include_top=False)
        else:
            with pytest.raises(CheckpointError, match=f"unexpected: {tensor}"):
                convert(path, MODEL, tmp_path / "out.safetensors", include_top=False)


@pytest.mark.usefixtures("whole")
def test_a_classifier_behind_maxima_is_refused(tmp_path):
    body = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="max", input_shape=(32, 32, 3)
    )
    path = tmp_path / "theirs.weights.h5"
    keras.Sequential([body, keras.layers.Dense(3)]).save_weights(path)
    with pytest.raises(CheckpointError, match="has max pooling"):
        convert(path, MODEL, tmp_path / "out.safetensors")
    assert keras_effnets.MobileNetV2(weights=path, include_top=False).output_shape[-1] == 1280


def test_two_networks_in_one_file_are_refused(keras_body, tmp_path):
    other = keras.models.clone_model(keras_body)
    other.name = "other"
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, [keras_body(inputs), other(inputs)]).save_weights(
        tmp_path / "two.weights.h5"
    )
    with pytest.raises(CheckpointError, match=r"two such networks, under '.*/' and '.*/'"):
        convert(tmp_path / "two.weights.h5", MODEL, tmp_path / "out.safetensors")


def test_keras_files_of_our_own_networks_are_not_foreign(tmp_path):
    model = keras_effnets.MobileNetV2(weights=None, alpha=0.35, classes=3)
    for ending, save in ((".keras", model.save), (".weights.h5", model.save_weights)):
        path = tmp_path / f"own{ending}"
        save(path)
        again = keras_effnets.MobileNetV2(weights=path, alpha=0.35, classes=3)
        for expected, found in zip(model.weights, again.weights, strict=True):
            np.testing.assert_array_equal(expected.numpy(), found.numpy())


def test_the_command_tells_what_was_found_and_takes_the_choices(write, tmp_path):
    tensors = half_of(source_tensors("efficientnet_lite0", "timm"), np.float16)
    path, out = write(tensors), tmp_path / "out.safetensors"
    arguments = ("convert", path, "-m", "efficientnet_lite0", "-o", out)
    code, _, err = running.run(cli.app, *arguments)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "--source timm_tf" in err
    code, text, _ = running.run(cli.app, *arguments, "--source", "timm_tf", "--no-top")
    assert code == 0
    text = " ".join(text.split())
    for part in (
        "source timm_tf (matching names: efficientnet_pytorch 0 of 112, timm 112 of 112",
        "found in the top level of the file",
        "images 224 pixels, mean 127.5/127.5/127.5, std 127.5/127.5/127.5, by timm's default",
        "classifier left out, as asked",
        "cast from float16",
        "include_top=False)",
    ):
        assert part in text
    tensors["bn1.bias"][0] = np.nan
    write(tensors)
    code, _, err = running.run(cli.app, *arguments, "--source", "timm")
    assert (code, "bn1.bias" in err) == (2, True)
    assert running.run(cli.app, *arguments, "--source", "timm", "--allow-nonfinite")[0] == 0
