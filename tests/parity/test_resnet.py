"""ResNet and its kin against torchvision and keras.applications."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

from functools import partial  # noqa: E402

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import numpy as np  # noqa: E402

import keras_effnets  # noqa: E402

TAPS = {"stem": "maxpool", **{f"stage{n}": f"layer{n}" for n in (1, 2, 3, 4)}}
NAMES = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
)
QUICK = ("resnet18", "resnet50", "resnext50_32x4d")


def reference_of(name, side):
    module = getattr(living.import_torchvision().models, name)()
    return living.reference(name, module, TAPS, side)


def tolerance_of(reference):
    noise = reference.noise()
    assert reference.spread() >= 0.1
    assert noise <= 5e-5
    return max(compare.TOLERANCE, 4 * noise)


def converted(name, state_dict, folder, **options):
    torch.save(state_dict, folder / "reference.pth")
    options = {"classifier_activation": None, **options}
    return keras_effnets.create_model(name, weights=folder / "reference.pth", **options)


@pytest.mark.parametrize("side", [64, 65])
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n in QUICK else pytest.mark.full) for n in NAMES],
)
def test_logits_and_every_stage_agree(name, side, tmp_path):
    reference = reference_of(name, side)
    tolerance = tolerance_of(reference)
    model = converted(name, reference.state_dict, tmp_path, input_shape=(side, side, 3))
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance, found


def _edited(options, only=("Bottleneck", "BasicBlock")):
    def edit(config):
        for key, value in options.items():
            if key in config and config["name"].startswith("stage"):
                config[key] = value

    return edit


def stride_on_the_1x1(model):
    return compare.configured(model, _edited({"stride_on": "1x1"}))


def stage_padding(model):
    return compare.configured(model, _edited({"padding": "same"}))


def missing_skip(model):
    mutant = compare.renewed(model, ["stage1_block1"])
    mutant.get_layer("stage1_block1").shortcut = "none"
    return mutant


def pool_without_its_border(model):
    def edit(config):
        if config["name"] == "stem_pool":
            config.update(padding=0, ceil_mode=True)

    return compare.configured(model, edit)


def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    reference = reference_of("resnet50", 64)
    tolerance = tolerance_of(reference)
    model = converted("resnet50", reference.state_dict, tmp_path, input_shape=(64, 64, 3))
    mutants = (
        stride_on_the_1x1,
        stage_padding,
        missing_skip,
        pool_without_its_border,
        compare.stem_padding,
        compare.pixel_scale,
    )
    for mutate in mutants:
        logits = compare.logits(mutate(model), reference.pictures)
        error = compare.relative_error(logits, reference.logits)
        assert error > 10 * tolerance, f"{mutate.__name__} changes the logits by {error:.1e} only"


def test_a_checkpoint_is_silently_wrong_in_the_other_stride(tmp_path):
    """Every shape fits: what decides must be said, by the profile or by `stride`."""
    reference = reference_of("resnet50", 64)
    model = converted(
        "resnet50", reference.state_dict, tmp_path, input_shape=(64, 64, 3), stride="v1"
    )
    logits, _ = compare.run(model, reference.pictures)
    assert compare.relative_error(logits, reference.logits) > 0.01


def test_float64_agrees_to_eight_digits(tmp_path):
    """Grouped convolutions included: TensorFlow has none for this type, and they are split."""
    reference = reference_of("resnext50_32x4d", 33)
    logits, features = reference.run(torch.float64)
    keras.config.set_dtype_policy("float64")
    try:
        model = converted(
            "resnext50_32x4d", reference.state_dict, tmp_path, input_shape=(33, 33, 3)
        )
        found = compare.errors(model, reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found


def dilated(name, output_stride):
    replace = [False, output_stride == 8, output_stride in (8, 16)]
    module = getattr(living.import_torchvision().models, name)(replace_stride_with_dilation=replace)
    return living.reference(name, module, TAPS, 65)


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilated_networks_agree(output_stride, tmp_path):
    reference = dilated("resnet50", output_stride)
    model = converted(
        "resnet50",
        reference.state_dict,
        tmp_path,
        input_shape=(65, 65, 3),
        output_stride=output_stride,
    )
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance_of(reference), found


def gated_reference_of(side):
    """timm's SE-ResNets put their gate where the paper does, and stride on the 3×3."""
    living.import_torchvision()  # which timm imports
    timm = pytest.importorskip("timm", reason="timm is in the test extra")
    module = timm.create_model("seresnet50", pretrained=False)
    norms = [f"{name}.bn3" for name, m in module.named_modules() if hasattr(m, "bn3")]
    return living.reference("se_resnet50", module, TAPS, side, small_norms=norms)


def test_gates_agree_with_timms(tmp_path):
    reference = gated_reference_of(65)
    model = converted("se_resnet50", reference.state_dict, tmp_path, input_shape=(65, 65, 3))
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance_of(reference), found


@pytest.mark.parametrize("side", [64, 65])
def test_keras_applications_agrees(side, tmp_path):
    """ResNet50 v1: stride on the first 1×1, biases, blue first."""
    rng = np.random.default_rng(0)
    theirs = keras.applications.ResNet50(
        weights=None, input_shape=(side, side, 3), classifier_activation=None
    )
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            scale = 0.3 if layer.name.endswith("_3_bn") else 1.0
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape) * scale)
            layer.beta.assign(rng.uniform(-0.5, 0.5, layer.beta.shape) * scale)
    path = tmp_path / "theirs.keras"
    theirs.save(path)
    pixels = living.unlike_pictures(4, side, 0)
    given = keras.applications.resnet.preprocess_input(pixels.copy())
    calibrate(theirs, given)
    theirs.save(path)
    expected = np.asarray(theirs(given, training=False))
    assert living.spread(expected) >= 0.1
    build = partial(keras_effnets.ResNet50, weights=path, classifier_activation=None)
    model = build(input_shape=(side, side, 3))
    found = np.asarray(model(pixels, training=False))
    assert compare.relative_error(found, expected) <= compare.TOLERANCE


def calibrate(model, pixels):
    """Gives the batch norms the statistics of these pictures."""
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.momentum = 0.0
    model(pixels, training=True)
    for norm in norms:
        norm.momentum = 0.99
