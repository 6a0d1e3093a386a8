"""EfficientNetV2 against torchvision, timm and keras.applications."""

from dataclasses import replace
from functools import partial

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import living_keras  # noqa: E402
import numpy as np  # noqa: E402
from dilation import dilate  # noqa: E402
from test_torchvision import assert_alive, converted  # noqa: E402

import keras_effnets  # noqa: E402
from keras_effnets.models import efficientnet_v2  # noqa: E402
from keras_effnets.models.builder import create  # noqa: E402
from keras_effnets.plan.config import Stage  # noqa: E402

NAMES = ("efficientnet_v2_s", "efficientnet_v2_m", "efficientnet_v2_l")
GREY = (127.5, 127.5, 127.5)
STAGES = (
    Stage(expansion=1, kernel_size=3, strides=1, filters=16, repeats=2),
    Stage(expansion=4, kernel_size=3, strides=2, filters=24, repeats=2),
    Stage(expansion=4, kernel_size=3, strides=2, filters=32, repeats=2),
    Stage(expansion=4, kernel_size=3, strides=2, filters=48, repeats=2),
    Stage(expansion=6, kernel_size=3, strides=1, filters=56, repeats=2),
    Stage(expansion=6, kernel_size=3, strides=2, filters=64, repeats=3),
)
SHRUNKEN = efficientnet_v2.EfficientNetV2Config(
    name="shrunken", stages=STAGES, side=64, dropout=0.2
)


def shrunken_module():
    """torchvision's network of our rows."""
    theirs = living.import_torchvision().models.efficientnet
    rows, channels = [], STAGES[0].filters
    for number, stage in enumerate(STAGES):
        row = theirs.FusedMBConvConfig if number < 3 else theirs.MBConvConfig
        arguments = (stage.expansion, stage.kernel_size, stage.strides, channels, stage.filters)
        rows.append(row(*arguments, stage.repeats))
        channels = stage.filters
    norm = partial(torch.nn.BatchNorm2d, eps=1e-3)
    return theirs.EfficientNet(rows, dropout=0.2, norm_layer=norm, last_channel=1280)


def reference_of(name, side, output_stride=32):
    stages = len(STAGES)
    if name == "shrunken":
        module = shrunken_module()
    else:
        module = getattr(living.import_torchvision().models, name)()
        stages = len(keras_effnets.model_info(name).config.stages)
    taps = {"stem": "features.0", "top": f"features.{stages + 1}"}
    taps |= {f"stage{n}": f"features.{n}" for n in range(1, stages + 1)}
    colours = {"mean": GREY, "std": GREY} if name.endswith("_l") else {}
    return living.reference(name, dilate(module, output_stride), taps, side, **colours)


def shrunken(reference, folder, **knobs):
    """Our shrunken network, from the reference's checkpoint."""
    torch.save(reference.state_dict, folder / "reference.pth")
    options = {
        "weights": folder / "reference.pth",
        "input_shape": reference.pictures.shape[1:],
        "classifier_activation": None,
    }
    return create(efficientnet_v2.build, replace(SHRUNKEN, **knobs), options)


def assert_agrees(model, reference):
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= assert_alive(reference), found


@pytest.mark.parametrize("side", [96, 97])
def test_a_shrunken_network_agrees(side, tmp_path):
    reference = reference_of("shrunken", side)
    assert_agrees(shrunken(reference, tmp_path), reference)


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilated_networks_agree(output_stride, tmp_path):
    reference = reference_of("shrunken", 65, output_stride)
    assert_agrees(shrunken(reference, tmp_path, output_stride=output_stride), reference)


def a_fused_projection_with_activation(model):
    mutant = compare.renewed(model, ["stage2_block0"])
    mutant.get_layer("stage2_block0").project._activate = keras.activations.silu
    return mutant


@pytest.mark.full
def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    reference = reference_of("shrunken", 96)
    tolerance = assert_alive(reference)
    model = shrunken(reference, tmp_path)
    for mutate in (
        compare.stem_padding,
        compare.block_padding,
        compare.epsilon,
        compare.missing_skip,
        compare.pixel_scale,
        compare.squeeze_activation,
        a_fused_projection_with_activation,
    ):
        logits = compare.logits(mutate(model), reference.pictures)
        error = compare.relative_error(logits, reference.logits)
        assert error > 10 * tolerance, f"{mutate.__name__} changes the logits by {error:.1e} only"


def test_float64_agrees_to_eight_digits(tmp_path):
    reference = reference_of("shrunken", 65)
    logits, features = reference.run(torch.float64)
    keras.config.set_dtype_policy("float64")
    try:
        model = shrunken(reference, tmp_path)
        found = compare.errors(model, reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found


@pytest.mark.full
@pytest.mark.parametrize("side", [96, 97])
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_every_stage_agree(name, side, tmp_path):
    reference = reference_of(name, side)
    assert_agrees(converted(name, reference, tmp_path), reference)


@pytest.mark.parametrize(
    ("theirs", "profile", "side"),
    [
        ("tf_efficientnetv2_s", "tensorflow", 64),
        pytest.param("tf_efficientnetv2_s", "tensorflow", 65, marks=pytest.mark.full),
        pytest.param("efficientnetv2_s", "torch", 65, marks=pytest.mark.full),
        pytest.param("tf_efficientnetv2_m", "tensorflow", 64, marks=pytest.mark.full),
        pytest.param("tf_efficientnetv2_l", "tensorflow", 64, marks=pytest.mark.full),
    ],
)
def test_timm_agrees(theirs, profile, side, tmp_path):
    living.import_torchvision()
    timm = pytest.importorskip("timm", reason="timm is in the test extra")
    module = timm.create_model(theirs)
    stages = len(module.blocks)
    taps = {"stem": "bn1", "top": "bn2", **{f"stage{n + 1}": f"blocks.{n}" for n in range(stages)}}
    norms = {True: "bn3", False: "bn2"}
    ends = [
        f"{path}.{norms[hasattr(block, 'bn3')] if hasattr(block, 'bn2') else 'bn1'}"
        for path, block in module.named_modules()
        if getattr(block, "has_skip", False)
    ]
    colours = {"mean": GREY, "std": GREY} if theirs.startswith("tf_") else {}
    reference = living.reference(theirs, module, taps, side, small_norms=ends, **colours)
    name = "efficientnet_v2_" + theirs[-1]
    assert_agrees(converted(name, reference, tmp_path, profile=profile), reference)


@pytest.mark.parametrize("side", [64, pytest.param(65, marks=pytest.mark.full, id="65")])
def test_keras_applications_agrees(side, tmp_path):
    theirs = keras.applications.EfficientNetV2S(
        weights=None, input_shape=(side, side, 3), classifier_activation=None
    )
    pixels = living.unlike_pictures(8, side, 0)
    living_keras.enliven(theirs, pixels)
    path = tmp_path / "theirs.keras"
    theirs.save(path)
    expected = np.asarray(theirs(pixels, training=False))
    assert living.spread(expected) >= 0.1
    shape = (side, side, 3)
    model = keras_effnets.EfficientNetV2S(
        weights=path, input_shape=shape, classifier_activation=None
    )
    found, _ = compare.run(model, pixels)
    assert compare.relative_error(found, expected) <= compare.TOLERANCE
