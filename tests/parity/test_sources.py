"""Checkpoints as other libraries write them, converted, against the networks that wrote them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import numpy as np  # noqa: E402
from test_applications import (  # noqa: E402
    copy,
    efficientnet_names,
    mobilenet_names,
    tensorflow_twin,
    values_of,
)
from torchvision_import import import_torchvision  # noqa: E402

import keras_effnets  # noqa: E402
from weights_tools.convert import convert  # noqa: E402

SIDES = (96, 97)
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)
ENDINGS = (".keras", ".h5", ".weights.h5")
SIDE_OF = {"efficientnet_b0": 97, "mobilenet_v2": 96}


def full(wanted: bool) -> Any:
    """The mark of what `make test` leaves to `make parity`, where `wanted`."""
    return pytest.mark.full if wanted else ()


def ours(name: str, weights: Path, side: int, **options) -> keras.Model:
    options = {"classifier_activation": None, **options}
    return keras_effnets.create_model(name, weights=weights, input_shape=(side, side, 3), **options)


def assert_agrees(model: keras.Model, pictures: np.ndarray, expected: np.ndarray) -> None:
    assert living.spread(expected) >= 0.1
    found = keras.ops.convert_to_numpy(model(pictures, training=False))
    error = compare.relative_error(found, np.asarray(expected))
    assert error <= compare.TOLERANCE, error


# timm and efficientnet_pytorch: living networks in torch, and their state dicts.


def timm_network(name: str) -> tuple[torch.nn.Module, list[str], Any, Any]:
    """The network, the norms that end its residual branches, and mean and std, 0-255."""
    import_torchvision()  # timm imports it
    timm = pytest.importorskip("timm", reason="timm is not installed: the test extra")
    module = timm.create_model(name)
    ends = [
        f"{path}.{'bn3' if hasattr(block, 'bn3') else 'bn2'}"
        for path, block in module.named_modules()
        if getattr(block, "has_skip", False)
    ]
    assert ends
    cfg = module.default_cfg
    return module, ends, [255 * x for x in cfg["mean"]], [255 * x for x in cfg["std"]]


def efficientnet_pytorch_network(name: str) -> tuple[torch.nn.Module, list[str], Any, Any]:
    package = pytest.importorskip("efficientnet_pytorch", reason="not installed: the test extra")
    module = package.EfficientNet.from_name(name, image_size=None)
    return module, living.residual_norms(module), living.IMAGENET_MEAN, living.IMAGENET_STD


def state_dict_and_logits(
    network: tuple[torch.nn.Module, list[str], Any, Any], side: int, path: Path
) -> tuple[np.ndarray, np.ndarray]:
    module, ends, mean, std = network
    pictures = living.unlike_pictures(8, side, seed=0)
    shown = living.normalised(pictures, mean, std)
    living.enliven(module, shown, seed=0, residual_norms=ends)
    assert living.noise(module, shown) <= 5e-5
    torch.save(module.state_dict(), path)
    with torch.no_grad():
        return pictures, module(shown).numpy()


TIMM = {
    "efficientnet_b0": ("efficientnet_b0", "torch"),
    "tf_efficientnet_b0": ("efficientnet_b0", "tensorflow"),
    "efficientnet_lite0": ("efficientnet_lite0", "torch"),
    "tf_efficientnet_lite0": ("efficientnet_lite0", "tensorflow"),
    "mobilenetv2_100": ("mobilenet_v2", "torch"),
}


@pytest.mark.parametrize(
    ("theirs", "name", "profile", "side"),
    [
        # One of the two sides each in `make test`.
        pytest.param(theirs, *TIMM[theirs], side, marks=full(n % 2 != side % 2))
        for n, theirs in enumerate(TIMM)
        for side in SIDES
    ],
)
def test_timm_agrees(theirs, name, profile, side, tmp_path):
    path = tmp_path / "checkpoint.pth"
    pictures, logits = state_dict_and_logits(timm_network(theirs), side, path)
    assert_agrees(ours(name, path, side, profile=profile), pictures, logits)


@pytest.mark.full
def test_timm_b5_has_another_epsilon_than_torchvision(tmp_path):
    path = tmp_path / "checkpoint.pth"
    pictures, logits = state_dict_and_logits(timm_network("efficientnet_b5"), 64, path)
    model = ours("efficientnet_b5", path, 64, profile="torch")
    assert_agrees(model, pictures, logits)
    mutant = compare.logits(compare.epsilon(model), pictures)
    assert compare.relative_error(mutant, logits) > 10 * compare.TOLERANCE


@pytest.mark.parametrize("side", SIDES)
def test_efficientnet_pytorch_agrees(side, tmp_path):
    path = tmp_path / "checkpoint.pth"
    network = efficientnet_pytorch_network("efficientnet-b0")
    pictures, logits = state_dict_and_logits(network, side, path)
    assert_agrees(ours("efficientnet_b0", path, side), pictures, logits)


# keras.applications and qubvel's package: living weights copied in, and saved by Keras itself.


@cache
def living_values(name: str, side: int) -> tuple[np.ndarray, dict[str, np.ndarray], keras.Model]:
    """Pictures, living weights by our paths, and our network with them."""
    import tempfile

    reference = {
        "efficientnet_b0": lambda: living.efficientnet_reference("efficientnet_b0", side),
        "mobilenet_v2": lambda: living.mobilenet_v2_reference(1.0, side),
    }[name]()
    with tempfile.TemporaryDirectory() as folder:
        twin = tensorflow_twin(name, reference, Path(folder), side)
    return reference.pictures, values_of(twin), twin


def backbone(package: Any, name: str, side: int, top: bool, adapted: bool = False) -> Any:
    """keras.applications' network, of Keras 3 or 2, with living weights."""
    function = {"efficientnet_b0": "EfficientNetB0", "mobilenet_v2": "MobileNetV2"}[name]
    model = getattr(package.applications, function)(
        weights=None, include_top=top, input_shape=(side, side, 3)
    )
    fill(model, name, side, top)
    if name == "efficientnet_b0":
        layer = next(x for x in model.layers if isinstance(x, package.layers.Normalization))
        mean, std = (IMAGENET_MEAN, IMAGENET_STD) if adapted else (0.45, 0.25)
        numbers = [np.zeros(3, np.float32) + value for value in (mean, std**2)]
        layer.set_weights([*numbers, np.zeros((), np.int32)])
        layer.finalize_state()
    return model


def fill(model: Any, name: str, side: int, top: bool) -> None:
    _, values, twin = living_values(name, side)
    names = {"efficientnet_b0": efficientnet_names, "mobilenet_v2": mobilenet_names}[name](twin)
    if not top:
        del names["classifier/dense"]
    copy(values, model, names)


def new_head(package: Any, body: Any, features: Any) -> Any:
    """Pooling and a living Dense of three classes, without an activation."""
    layers = package.layers
    x = layers.GlobalAveragePooling2D()(features)
    head = layers.Dense(3)
    model = package.Model(body, head(layers.Dropout(0.2)(x)))
    rng = np.random.default_rng(0)
    head.set_weights(
        [rng.normal(0, 1280**-0.5, (1280, 3)).astype(np.float32), np.float32([0.1, -0.1, 0])]
    )
    return model


def bare(package: Any, name: str, side: int) -> Any:
    model = backbone(package, name, side, top=True)
    model.layers[-1].activation = package.activations.linear
    return model


def nested(package: Any, name: str, side: int) -> Any:
    inputs = package.Input((side, side, 3))
    return new_head(package, inputs, backbone(package, name, side, top=False)(inputs))


def nested_twice(package: Any, name: str, side: int) -> Any:
    inner = package.Sequential([backbone(package, name, side, top=False)])
    inputs = package.Input((side, side, 3))
    return new_head(package, inputs, inner(inputs))


def rebuilt(package: Any, name: str, side: int) -> Any:
    model = backbone(package, name, side, top=False, adapted=True)
    return new_head(package, model.input, model.output)


def trained(package: Any, name: str, side: int) -> Any:
    """With an optimizer's state and metrics in the file; it has not moved anything."""
    model = nested(package, name, side)
    # One step does not pay for being compiled.
    model.compile(package.optimizers.Adam(0.0), "mse", metrics=["mae"], run_eagerly=True)
    for layer in model.layers:
        layer.trainable = False
    model.layers[-1].trainable = True
    model.fit(np.zeros((1, side, side, 3)), np.zeros((1, 3)), verbose=0)
    return model


def saved(model: Any, ending: str, folder: Path) -> Path:
    path = folder / f"theirs{ending.removesuffix(' alone')}"
    if ending.startswith(".weights.h5") or ending.endswith("alone"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


def outputs(model: Any, name: str, side: int) -> tuple[np.ndarray, np.ndarray]:
    pictures = living_values(name, side)[0]
    shown = pictures / 127.5 - 1 if name == "mobilenet_v2" else pictures
    return pictures, np.asarray(model(shown, training=False))


def check(package: Any, make: Callable[..., Any], name: str, ending: str, folder: Path) -> None:
    side = SIDE_OF[name]
    model = make(package, name, side)
    pictures, expected = outputs(model, name, side)
    path = saved(model, ending, folder)
    classes = expected.shape[1]
    assert_agrees(ours(name, path, side, classes=classes), pictures, expected)
    report = convert(path, name, folder / "ours.safetensors")
    assert (report.source, report.classes) == ("keras", classes)
    converted = ours(name, report.out, side, classes=classes)
    assert_agrees(converted, pictures, expected)
    mutant = compare.logits(compare.pixel_scale(converted), pictures)
    assert compare.relative_error(mutant, expected) > 10 * compare.TOLERANCE


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("name", "make", "ending"),
    [
        ("efficientnet_b0", bare, ".weights.h5"),
        ("mobilenet_v2", trained, ".h5"),
        ("mobilenet_v2", nested, ".h5"),
        *(
            pytest.param(*case, marks=pytest.mark.full)
            for case in (
                ("efficientnet_b0", bare, ".keras"),
                ("efficientnet_b0", bare, ".h5"),
                ("efficientnet_b0", nested, ".weights.h5"),
                ("mobilenet_v2", bare, ".keras"),
                ("efficientnet_b0", rebuilt, ".weights.h5"),
                ("efficientnet_b0", trained, ".keras"),
                ("efficientnet_b0", nested_twice, ".h5"),
                ("mobilenet_v2", bare, ".h5"),
                ("mobilenet_v2", bare, ".weights.h5"),
                ("mobilenet_v2", rebuilt, ".h5"),
                ("mobilenet_v2", trained, ".weights.h5"),
                ("mobilenet_v2", nested_twice, ".keras"),
                ("mobilenet_v2", nested_twice, ".weights.h5"),
            )
        ),
    ],
)
def test_keras_3_agrees(name, make, ending, tmp_path):
    check(keras, make, name, ending, tmp_path)


@pytest.mark.filterwarnings("ignore")  # of Keras 2, which is not maintained for this TensorFlow
@pytest.mark.parametrize(
    ("name", "make", "ending"),
    [
        ("efficientnet_b0", bare, ".h5"),
        ("mobilenet_v2", trained, ".keras"),
        *(
            pytest.param(*case, marks=pytest.mark.full)
            for case in (
                ("efficientnet_b0", nested, ".h5 alone"),
                ("efficientnet_b0", bare, ".keras"),
                ("efficientnet_b0", bare, ".h5 alone"),
                ("mobilenet_v2", trained, ".h5"),
                ("mobilenet_v2", trained, ".h5 alone"),
                ("mobilenet_v2", nested_twice, ".h5 alone"),
            )
        ),
    ],
)
def test_keras_2_agrees(name, make, ending, tmp_path):
    package = pytest.importorskip("tf_keras", reason="not installed: the test extra")
    check(package, make, name, ending, tmp_path)


@pytest.mark.parametrize("ending", [pytest.param(e, marks=full(e != ".h5")) for e in ENDINGS])
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_the_published_variances_are_standard_deviations(ending, tmp_path, monkeypatch):
    """As `weights="imagenet"` makes the network: a second Rescaling rights those numbers."""
    side = SIDE_OF["efficientnet_b0"]
    original = keras.layers.Normalization.__call__

    def then_rescaled(self, x):
        return keras.layers.Rescaling([0.229**-0.5, 0.224**-0.5, 0.225**-0.5])(original(self, x))

    monkeypatch.setattr(keras.layers.Normalization, "__call__", then_rescaled)
    model = keras.applications.EfficientNetB0(weights=None, input_shape=(side, side, 3))
    monkeypatch.undo()
    fill(model, "efficientnet_b0", side, top=True)
    layer = next(x for x in model.layers if isinstance(x, keras.layers.Normalization))
    layer.set_weights([IMAGENET_MEAN, IMAGENET_STD, np.zeros((), np.int32)])
    layer.finalize_state()
    model.layers[-1].activation = keras.activations.linear
    pictures, expected = outputs(model, "efficientnet_b0", side)
    converted = ours("efficientnet_b0", saved(model, ending, tmp_path), side)
    assert_agrees(converted, pictures, expected)
    preset = converted.get_layer("preprocessing").preset
    assert preset.mean == pytest.approx(255 * IMAGENET_MEAN)
    assert preset.std == pytest.approx(255 * IMAGENET_STD)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("top", [True, pytest.param(False, marks=pytest.mark.full)])
def test_qubvels_package_agrees(top, tmp_path):
    tf_keras = pytest.importorskip("tf_keras", reason="not installed: the test extra")
    package = pytest.importorskip("efficientnet.model", reason="not installed: the test extra")
    side = SIDE_OF["efficientnet_b0"]
    modules = {name: getattr(tf_keras, name) for name in ("backend", "layers", "models", "utils")}
    model = package.EfficientNetB0(
        weights=None, include_top=top, input_shape=(side, side, 3), **modules
    )
    pictures, values, twin = living_values("efficientnet_b0", side)
    names = efficientnet_names(twin) | {"classifier/dense": "probs"}
    if top:
        model.get_layer("probs").activation = tf_keras.activations.linear
    else:
        del names["classifier/dense"]
    copy(values, model, names)
    path = tmp_path / "efficientnet-b0.h5"
    model.save_weights(path)
    shown = (pictures / 255 - IMAGENET_MEAN) / IMAGENET_STD
    expected = np.asarray(model(shown, training=False))
    assert_agrees(ours("efficientnet_b0", path, side, include_top=top), pictures, expected)
    report = convert(path, "efficientnet_b0", tmp_path / "ours.safetensors")
    assert (report.source, report.classes) == ("qubvel", 1000 if top else 0)
