"""MobileNetV3 against torchvision, timm and keras.applications."""

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

GREY = (127.5, 127.5, 127.5)
LAST = {"small": (1, 3, 6, 8, 11), "large": (1, 3, 6, 10, 12, 15)}
"""Of each stage, torchvision's number of its last block."""


def reference_of(size, side, alpha=1.0, output_stride=32):
    make = getattr(living.import_torchvision().models, f"mobilenet_v3_{size}")
    module = dilate(make(width_mult=alpha), output_stride)
    taps = {"stem": "features.0", "top": f"features.{LAST[size][-1] + 1}"}
    taps |= {f"stage{n}": f"features.{last}" for n, last in enumerate(LAST[size], start=1)}
    return living.reference(f"mobilenet_v3_{size}", module, taps, side)


def timm_reference(name, size, side):
    """timm's network: as `tf_*` with the padding and epsilon of TensorFlow."""
    living.import_torchvision()
    timm = pytest.importorskip("timm", reason="timm is in the test extra")
    module = timm.create_model(name)
    stages = len(LAST[size])
    taps = {"stem": "bn1", "top": f"blocks.{stages}"}
    taps |= {f"stage{n}": f"blocks.{n - 1}" for n in range(1, stages + 1)}
    ends = [
        f"{path}.{'bn3' if hasattr(block, 'bn3') else 'bn2'}"
        for path, block in module.named_modules()
        if getattr(block, "has_skip", False)
    ]
    colours = {"mean": GREY, "std": GREY} if name.startswith("tf_") else {}
    return living.reference(name, module, taps, side, small_norms=ends, **colours)


def assert_agrees(model, reference):
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= assert_alive(reference), found


@pytest.mark.parametrize("side", [96, 97])
@pytest.mark.parametrize("size", ["small", "large"])
def test_logits_and_every_stage_agree(size, side, tmp_path):
    reference = reference_of(size, side)
    assert_agrees(converted(f"mobilenet_v3_{size}", reference, tmp_path), reference)


@pytest.mark.parametrize(("size", "alpha"), [("small", 0.35), ("large", 0.75), ("small", 1.25)])
def test_torchvisions_widths_agree(size, alpha, tmp_path):
    reference = reference_of(size, 65, alpha)
    assert_agrees(converted(f"mobilenet_v3_{size}", reference, tmp_path, alpha=alpha), reference)


def sigmoid_gates(model):
    names = [layer.name for layer in model.layers if hasattr(layer, "squeeze_excite")]
    mutant = compare.renewed(model, names)
    for name in names:
        mutant.get_layer(name).squeeze_excite.expand.activation = keras.activations.sigmoid
    return mutant


def another_swish(model):
    def edit(config):
        if config.get("activation") == "hard_swish":
            config["activation"] = "silu"

    return compare.configured(model, edit)


def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    reference = reference_of("large", 96)
    tolerance = assert_alive(reference)
    model = converted("mobilenet_v3_large", reference, tmp_path)
    for mutate in (
        compare.stem_padding,
        compare.block_padding,
        compare.epsilon,
        compare.missing_skip,
        compare.pixel_scale,
        sigmoid_gates,
        another_swish,
    ):
        logits = compare.logits(mutate(model), reference.pictures)
        error = compare.relative_error(logits, reference.logits)
        assert error > 10 * tolerance, f"{mutate.__name__} changes the logits by {error:.1e} only"


def test_float64_agrees_to_eight_digits(tmp_path):
    reference = reference_of("small", 65)
    logits, features = reference.run(torch.float64)
    keras.config.set_dtype_policy("float64")
    try:
        model = converted("mobilenet_v3_small", reference, tmp_path)
        found = compare.errors(model, reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found


@pytest.mark.parametrize(
    ("theirs", "size", "profile", "side", "options"),
    [
        ("mobilenetv3_large_100", "large", "torch", 96, {}),
        ("mobilenetv3_small_100", "small", "torch", 65, {}),
        ("tf_mobilenetv3_large_minimal_100", "large", "tensorflow", 65, {"minimalistic": True}),
        ("tf_mobilenetv3_small_075", "small", "tensorflow", 64, {"alpha": 0.75}),
    ],
)
def test_timm_agrees(theirs, size, profile, side, options, tmp_path):
    reference = timm_reference(theirs, size, side)
    assert_agrees(
        converted(f"mobilenet_v3_{size}", reference, tmp_path, profile=profile, **options),
        reference,
    )


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilated_networks_agree(output_stride, tmp_path):
    reference = reference_of("small", 65, output_stride=output_stride)
    model = converted("mobilenet_v3_small", reference, tmp_path, output_stride=output_stride)
    assert_agrees(model, reference)


@pytest.mark.parametrize(
    ("size", "side", "options"),
    [
        ("Large", 96, {}),
        ("Small", 97, {}),
        ("Large", 65, {"alpha": 0.5}),
        ("Small", 64, {"alpha": 1.25}),
        ("Small", 65, {"minimalistic": True}),
    ],
)
def test_keras_applications_agrees(size, side, options, tmp_path):
    theirs = getattr(keras.applications, f"MobileNetV3{size}")(
        weights=None, input_shape=(side, side, 3), classifier_activation=None, **options
    )
    pixels = living.unlike_pictures(8, side, 0)
    living_keras.enliven(theirs, pixels)
    path = tmp_path / "theirs.keras"
    theirs.save(path)
    expected = np.asarray(theirs(pixels, training=False))
    assert living.spread(expected) >= 0.1
    build = getattr(keras_effnets, f"MobileNetV3{size}")
    shape = (side, side, 3)
    model = build(weights=path, input_shape=shape, classifier_activation=None, **options)
    found, _ = compare.run(model, pixels)
    assert compare.relative_error(found, expected) <= compare.TOLERANCE
    for mutate in (compare.epsilon, compare.missing_skip, compare.pixel_scale):
        wrong = compare.logits(mutate(model), pixels)
        assert compare.relative_error(wrong, expected) > 10 * compare.TOLERANCE, mutate.__name__


@pytest.mark.parametrize("source", ["torchvision", "keras"])
def test_the_hidden_layer_goes_with_the_top(source, tmp_path):
    if source == "torchvision":
        module = living.import_torchvision().models.mobilenet_v3_small()
        path = tmp_path / "theirs.pth"
        torch.save(module.state_dict(), path)
    else:
        path = tmp_path / "theirs.keras"
        keras.applications.MobileNetV3Small(weights=None, input_shape=(64, 64, 3)).save(path)
    model = keras_effnets.MobileNetV3Small(weights=path, include_top=False, pooling="avg")
    assert model.output_shape == (None, 576)
    other = keras_effnets.MobileNetV3Small(weights=path, classes=7, input_shape=(64, 64, 3))
    whole = keras_effnets.MobileNetV3Small(weights=path, input_shape=(64, 64, 3))
    np.testing.assert_array_equal(
        other.get_layer("hidden").get_weights()[0], whole.get_layer("hidden").get_weights()[0]
    )
