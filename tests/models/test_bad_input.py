"""Wrong arguments: the error names the argument, the value, and what helps."""

import re
import socket
from dataclasses import replace

import numpy as np
import pytest

import keras_effnets
from keras_effnets.plan.deferred import outline
from keras_effnets.weights.catalog import WEIGHTS
from weights_tools.formats.our_format import write_weights_file


def b0(**options):
    return keras_effnets.EfficientNetB0(**{"weights": None, **options})


def mobilenet(**options):
    return keras_effnets.MobileNetV2(**{"weights": None, **options})


def lite(**options):
    return keras_effnets.EfficientNetLite0(**{"weights": None, **options})


BAD = [
    (b0, {"weights": "imagnet"}, r"weights='imagnet'.*'imagenet', 'IMAGENET1K_V1'"),
    (lite, {"weights": "imagnet"}, r"weights='imagnet'.*'EFFICIENTNET_PYTORCH'"),
    (b0, {"weights": ""}, r"weights=''"),
    (b0, {"classes": 0}, r"classes=0"),
    (b0, {"classes": -3}, r"classes=-3"),
    (b0, {"classes": 2.5}, r"classes=2\.5"),
    (b0, {"classes": "3"}, r"classes='3'"),
    (b0, {"input_shape": (8, 8, 3)}, r"input_shape=\(8, 8, 3\).*32 or more"),
    (b0, {"input_shape": (224, 31, 3)}, r"input_shape=\(224, 31, 3\)"),
    (b0, {"input_shape": (224, 224)}, r"input_shape=\(224, 224\)"),
    (b0, {"input_shape": (224, 224, 0)}, r"input_shape=\(224, 224, 0\)"),
    (b0, {"input_shape": (224, 224, None)}, r"input_shape=\(224, 224, None\)"),
    (b0, {"pooling": "mean"}, r"pooling='mean'.*'avg', 'max'"),
    (b0, {"profile": "keras"}, r"profile='keras'.*'torch', 'tensorflow'"),
    (b0, {"output_stride": 7}, r"output_stride=7.*8, 16, 32"),
    (b0, {"dropout": 1.0}, r"dropout=1\.0"),
    (b0, {"dropout": -0.5}, r"dropout=-0\.5"),
    (b0, {"drop_path": -0.1}, r"drop_path=-0\.1"),
    (b0, {"drop_path": 1.0}, r"drop_path=1\.0"),
    (b0, {"dropout": float("nan")}, r"dropout=nan"),
    (mobilenet, {"alpha": -1}, r"alpha=-1.*0\.35, 1\.4"),
    (mobilenet, {"alpha": 2}, r"alpha=2.*0\.35, 1\.4"),
    (mobilenet, {"alpha": float("nan")}, r"alpha=nan"),
    (keras_effnets.EfficientNet, {"width": 0}, r"width=0"),
    (keras_effnets.EfficientNet, {"width": -1.5}, r"width=-1\.5"),
    (keras_effnets.EfficientNet, {"depth": 0}, r"depth=0"),
    (keras_effnets.EfficientNet, {"depth": float("nan")}, r"depth=nan"),
    (keras_effnets.EfficientNet, {"resolution": 0}, r"resolution=0"),
    (keras_effnets.EfficientNet, {"se_ratio": 0}, r"se_ratio=0"),
    (keras_effnets.EfficientNet, {"se_ratio": 1.5}, r"se_ratio=1\.5"),
]


@pytest.mark.parametrize(
    ("build", "options", "message"), BAD, ids=[f"{b[0].__name__}-{b[1]}" for b in BAD]
)
def test_bad_argument_is_named_with_its_value(build, options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


@pytest.mark.parametrize("build", [b0, mobilenet, lite, keras_effnets.EfficientNet])
def test_unknown_keyword_is_a_type_error(build):
    with pytest.raises(TypeError, match="clases"):
        build(clases=3)


def test_arguments_are_keywords_only():
    with pytest.raises(TypeError):
        keras_effnets.EfficientNetB0(False)


@pytest.mark.parametrize("function", [keras_effnets.create_model, keras_effnets.model_info])
def test_unknown_model_is_named_with_the_nearest_or_all_there_are(function):
    with pytest.raises(ValueError, match=r"'efficientnet_b9'.*; did you mean efficientnet_b"):
        function("efficientnet_b9")
    with pytest.raises(ValueError, match=r"'12345'.*there are .*mobilenet_v2.*efficientnet_b0"):
        function("12345")


def test_width_without_published_weights_lists_those_there_are():
    with pytest.raises(ValueError, match=r"weights='imagenet'.*mobilenet_v2_0\.55") as error:
        keras_effnets.MobileNetV2(alpha=0.55, weights="imagenet")
    assert re.search(r"these do: .*mobilenet_v2\b(?!_)", str(error.value))


def test_any_width_has_no_published_weights():
    with pytest.raises(ValueError, match=r"weights='imagenet'.*efficientnet_b0"):
        keras_effnets.EfficientNet(weights="imagenet")


@pytest.mark.parametrize("ending", [".safetensors", ".keras", ".weights.h5", ".pth", ".pt", ".bin"])
def test_missing_path_is_named(tmp_path, ending):
    path = tmp_path / f"nowhere{ending}"
    with pytest.raises(FileNotFoundError, match=f"weights='{re.escape(str(path))}'"):
        b0(weights=path)


def test_path_of_unknown_ending_is_refused(tmp_path):
    path = tmp_path / "weights.zip"
    path.touch()
    with pytest.raises(ValueError, match=rf"weights='{re.escape(str(path))}'.*\.safetensors"):
        b0(weights=path)


@pytest.fixture
def torch_weights(tmp_path):
    """Weights of a small MobileNetV2, of the torch profile."""
    shapes = outline(lambda: mobilenet(alpha=0.35))
    metadata = {
        "model": "mobilenet_v2_0.35",
        "profile": "torch",
        "preset": keras_effnets.Preset(crop=224, resize=256).to_dict(),
    }
    path = tmp_path / "small.safetensors"

    def write(shapes=shapes, **changes):
        tensors = {
            name: lambda shape=shape: np.zeros(shape, "float32") for name, shape in shapes.items()
        }
        write_weights_file(path, shapes, tensors, {**metadata, **changes})
        return path

    write.shapes = shapes
    return write


def test_profile_that_contradicts_the_weights(torch_weights):
    path = torch_weights()
    mobilenet(alpha=0.35, weights=path, profile="torch")
    with pytest.raises(ValueError, match=r"profile='tensorflow', but weights=.*'torch'"):
        mobilenet(alpha=0.35, weights=path, profile="tensorflow")


def test_profile_that_contradicts_the_published_weights():
    with pytest.raises(ValueError, match=r"profile='torch', but weights='imagenet'.*'tensorflow'"):
        keras_effnets.EfficientNetLite0(profile="torch")


def test_weights_of_another_model(torch_weights):
    with pytest.raises(ValueError, match=r"of mobilenet_v2_0\.35, not of mobilenet_v2_0\.5"):
        mobilenet(alpha=0.5, weights=torch_weights())


def test_every_tensor_that_does_not_fit_is_listed(torch_weights):
    shapes = dict(torch_weights.shapes)
    del shapes["stem/norm/gamma"]
    shapes["top/norm/beta"] = (7,)
    shapes["attic/conv/kernel"] = (1,)
    with pytest.raises(ValueError, match="does not fit") as error:
        mobilenet(alpha=0.35, weights=torch_weights(shapes))
    for line in ("missing: stem/norm/gamma", "mis-shaped: top/norm/beta", "unexpected: attic/conv"):
        assert line in str(error.value)


@pytest.fixture
def closed_port():
    """A loopback address without a listener."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("weights", ["imagenet", "IMAGENET1K_V1"])
def test_without_network_and_cache_the_error_holds_the_command(
    monkeypatch, tmp_path, closed_port, weights
):
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("no_proxy", "*")
    sets = [replace(i, url=f"{closed_port}/{i.file}") for i in WEIGHTS["efficientnet_b0"]]
    monkeypatch.setitem(WEIGHTS, "efficientnet_b0", tuple(sets))
    file = "efficientnet_b0_rwightman-7f5810bc.pth"
    with pytest.raises(OSError, match=f"cannot download {closed_port}/{file}") as error:
        keras_effnets.EfficientNetB0(weights=weights)
    command = (
        f"weights-tools convert {file} --model efficientnet_b0 --out efficientnet_b0.safetensors"
    )
    assert command in str(error.value)
    assert 'weights="efficientnet_b0.safetensors"' in str(error.value)
    left = [path for path in (tmp_path / "home").rglob("*") if path.is_file()]
    assert all(path.suffix == ".lock" for path in left)
