"""Our totals compared with torchinfo's for the same networks in torchvision."""

from functools import partial

import keras
import pytest
from torchvision_import import import_torchvision

import keras_effnets
from keras_effnets.models.registry import get_builder, model_info
from keras_effnets.plan.deferred import sketch

torchvision = import_torchvision()
torch = pytest.importorskip("torch", reason="torch is not installed")
torchinfo = pytest.importorskip("torchinfo", reason="torchinfo is not installed")

TEN = (
    "alexnet",
    "densenet121",
    "efficientnet_b0",
    "efficientnet_v2_s",
    "googlenet",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "resnext50_32x4d",
    "squeezenet1_1",
    "vgg16_bn",
)
TWINS = sorted(
    set(keras_effnets.list_models())
    & set(torchvision.models.list_models(module=torchvision.models))
)
OBJECT = 64
"""Bytes that torchinfo adds to the inputs for the Python object around them."""


def theirs(name: str, batch: int):
    """torchinfo's summary of a network whose tensors have no values."""
    side = model_info(name).side
    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, **options)
    size = (batch, 3, side, side)
    return torchinfo.summary(network, input_size=size, device="meta", verbose=0)


def ours(name: str, batch: int, **options) -> keras_effnets.Summary:
    side = model_info(name).side
    model = sketch(partial(get_builder(name), weights=None, input_shape=(side, side, 3)))
    return keras_effnets.summary(model, batch, **options)


def test_there_are_forty_twins():
    assert len(TWINS) == 40
    assert set(TEN) < set(TWINS)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in TEN else pytest.mark.full) for name in TWINS],
)
def test_the_totals_are_torchinfos(name):
    expected, found = theirs(name, 2), ours(name, 2)
    assert found.unknown == ()
    assert found.parameters == expected.total_params
    assert found.trainable == expected.trainable_params
    assert found.multiply_adds == expected.total_mult_adds
    assert found.activation_bytes == expected.total_output_bytes
    assert found.parameter_bytes == expected.total_param_bytes
    assert found.input_bytes == expected.total_input - OBJECT


def test_papers_count_fewer_and_parameters_and_memory_stay():
    found, paper = ours("efficientnet_b0", 2), ours("efficientnet_b0", 2, definition="paper")
    assert paper.multiply_adds == 2 * model_info("efficientnet_b0").multiply_adds
    assert paper.multiply_adds < found.multiply_adds
    assert paper.parameters == found.parameters
    assert paper.activation_bytes == found.activation_bytes


def test_b0_with_three_classes_and_its_body_frozen():
    b0 = partial(keras_effnets.EfficientNetB0, weights=None)
    model = sketch(lambda: keras_effnets.reset_classifier(b0(), 3))
    keras_effnets.freeze(model)
    found = keras_effnets.summary(model, batch_size=32)
    assert (found.parameters, found.trainable, found.not_trainable) == (4011391, 3843, 4007548)
    assert found.statistics == 42016
    lines = str(found).splitlines()[-9:]
    assert [line.split(maxsplit=1)[0] for line in lines] == [
        *("Parameters", "trainable", "not", "Moving", "Multiply-adds"),
        *("Input", "Forward", "Memory", "In"),
    ]
    for line, value in zip(
        lines[4:],
        ("12.31 G", "19.27 MB", "3452.09 MB", "16.05 MB", "3487.41 MB"),
        strict=True,
    ):
        assert f"  {value}" in line


@pytest.mark.parametrize(
    ("build", "reference", "shape"),
    [
        ("Conv1D", lambda: torch.nn.Conv1d(6, 4, 3), (20, 6)),
        ("Conv2D", lambda: torch.nn.Conv2d(6, 4, 3, stride=2, groups=2), (20, 20, 6)),
        ("Conv3D", lambda: torch.nn.Conv3d(6, 4, 3), (9, 9, 9, 6)),
        ("Conv2DTranspose", lambda: torch.nn.ConvTranspose2d(6, 4, 3, stride=2), (9, 9, 6)),
        ("Dense", lambda: torch.nn.Linear(6, 4), (20, 6)),
        ("LayerNormalization", lambda: torch.nn.LayerNorm(6), (20, 6)),
        ("PReLU", lambda: torch.nn.PReLU(6), (6,)),
    ],
)
def test_each_kind_of_layer_is_counted_as_torchinfo_does(build, reference, shape):
    options = {
        "Conv1D": (4, 3),
        "Conv2D": (4, 3),
        "Conv3D": (4, 3),
        "Conv2DTranspose": (4, 3),
        "Dense": (4,),
    }.get(build, ())
    extra = {"Conv2D": {"strides": 2, "groups": 2}, "Conv2DTranspose": {"strides": 2}}
    layer = getattr(keras.layers, build)(*options, **extra.get(build, {}))
    model = keras.Sequential([keras.Input(shape), layer])
    found = keras_effnets.summary(model, 5)
    # Channels first, but where the last axis is that of features.
    first = "Conv" in build
    size = (5, shape[-1], *shape[:-1]) if first else (5, *shape)
    with torch.device("meta"):
        network = torch.nn.Sequential(reference())
    expected = torchinfo.summary(network, input_size=size, device="meta", verbose=0)
    assert found.parameters == expected.total_params
    assert found.multiply_adds == expected.total_mult_adds
    assert found.activation_bytes == expected.total_output_bytes
