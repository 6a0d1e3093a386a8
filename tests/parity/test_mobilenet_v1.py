"""MobileNetV1 against timm and keras.applications."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import living_keras  # noqa: E402
import numpy as np  # noqa: E402
from test_torchvision import assert_alive, converted  # noqa: E402

import keras_effnets  # noqa: E402
from keras_effnets.weights.catalog import WEIGHTS  # noqa: E402
from weights_tools.convert import convert  # noqa: E402

TAPS = {"stem": "bn1", **{f"stage{n}": f"blocks.{n - 1}" for n in range(1, 6)}}
GREY = (127.5, 127.5, 127.5)


def reference_of(side, **options):
    living.import_torchvision()
    timm = pytest.importorskip("timm", reason="timm is in the test extra")
    module = timm.create_model("mobilenetv1_100", **options)
    return living.reference("mobilenet_v1", module, TAPS, side, mean=GREY, std=GREY, small_norms=())


def assert_agrees(model, reference, tolerance):
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance, found


@pytest.mark.parametrize("side", [96, 97])
def test_logits_and_every_stage_agree(side, tmp_path):
    reference = reference_of(side)
    assert_agrees(
        converted("mobilenet_v1", reference, tmp_path), reference, assert_alive(reference)
    )


@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilated_networks_agree(output_stride, tmp_path):
    reference = reference_of(65, output_stride=output_stride)
    model = converted("mobilenet_v1", reference, tmp_path, output_stride=output_stride)
    assert_agrees(model, reference, assert_alive(reference))


def without_the_pointwise_activation(model):
    mutant = compare.renewed(model, ["stage3_block1"])
    mutant.get_layer("stage3_block1").pointwise._activate = lambda x: x
    return mutant


def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    reference = reference_of(96)
    tolerance = assert_alive(reference)
    model = converted("mobilenet_v1", reference, tmp_path)
    for mutate in (
        compare.stem_padding,
        compare.block_padding,
        compare.epsilon,
        compare.unclipped_relu,
        compare.pixel_scale,
        without_the_pointwise_activation,
    ):
        logits = compare.logits(mutate(model), reference.pictures)
        error = compare.relative_error(logits, reference.logits)
        assert error > 10 * tolerance, f"{mutate.__name__} changes the logits by {error:.1e} only"


def test_float64_agrees_to_eight_digits(tmp_path):
    reference = reference_of(65)
    logits, features = reference.run(torch.float64)
    keras.config.set_dtype_policy("float64")
    try:
        model = converted("mobilenet_v1", reference, tmp_path)
        found = compare.errors(model, reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found


@pytest.mark.parametrize(("side", "alpha"), [(96, 0.5), (97, 0.25)])
def test_keras_applications_agrees(side, alpha, tmp_path):
    """At an odd side too, where its blocks pad otherwise than its stem."""
    theirs = keras.applications.MobileNet(
        weights=None, alpha=alpha, input_shape=(side, side, 3), classifier_activation=None
    )
    pixels = living.unlike_pictures(8, side, 0)
    shown = keras.applications.mobilenet.preprocess_input(pixels.copy())
    living_keras.enliven(theirs, shown)
    path = tmp_path / "theirs.keras"
    theirs.save(path)
    expected = np.asarray(theirs(shown, training=False))
    assert living.spread(expected) >= 0.1
    options = {"input_shape": (side, side, 3), "classifier_activation": None}
    model = keras_effnets.MobileNetV1(alpha=alpha, weights=path, **options)
    found, _ = compare.run(model, pixels)
    assert compare.relative_error(found, expected) <= compare.TOLERANCE
    for mutate in (compare.epsilon, compare.unclipped_relu, compare.pixel_scale):
        wrong = compare.logits(mutate(model), pixels)
        assert compare.relative_error(wrong, expected) > 10 * compare.TOLERANCE
    body = keras_effnets.MobileNetV1(alpha=alpha, weights=path, include_top=False, pooling="avg")
    cut = keras.Model(theirs.input, theirs.get_layer("conv_pw_13_relu").output)
    features = np.asarray(cut(shown, training=False)).mean(axis=(1, 2))
    assert compare.relative_error(np.asarray(body(pixels)), features) <= compare.TOLERANCE


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_published_set_brings_its_own_side(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path))
    (tmp_path / "downloads").mkdir()
    theirs = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(192, 192, 3))
    theirs.save(tmp_path / "downloads" / "mobilenet_2_5_192_tf.h5")
    for _ in range(2):  # converted, and then from the cache
        model = keras_effnets.MobileNetV1(alpha=0.25, weights="IMAGENET_192")
        assert model.input_shape == (None, 192, 192, 3)
        assert model.get_layer("preprocessing").preset.crop == 192
        kernel = theirs.get_layer("conv1").kernel.numpy()
        np.testing.assert_array_equal(model.get_layer("stem").conv.kernel.numpy(), kernel)


def test_the_catalog_has_what_keras_publishes():
    from keras.src.applications import mobilenet

    for name in ("mobilenet_v1", "mobilenet_v1_0.75", "mobilenet_v1_0.5", "mobilenet_v1_0.25"):
        sets = WEIGHTS[name]
        assert [info.name for info in sets] == [f"IMAGENET_{n}" for n in (224, 192, 160, 128)]
        alpha = keras_effnets.model_info(name).config.alpha
        text = {1.0: "1_0", 0.75: "7_5", 0.5: "5_0", 0.25: "2_5"}[alpha]
        for info in sets:
            file = f"mobilenet_{text}_{info.preset.crop}_tf.h5"
            assert info.url == mobilenet.BASE_WEIGHT_PATH + file
            assert info.file == file


def test_a_width_with_published_weights_converts_by_its_name(tmp_path):
    theirs = keras.applications.MobileNet(weights=None, alpha=0.25, input_shape=(64, 64, 3))
    theirs.save(tmp_path / "theirs.keras")
    report = convert(tmp_path / "theirs.keras", "mobilenet_v1_0.25", tmp_path / "ours.safetensors")
    assert (report.source, report.profile, report.classes) == ("keras", "tensorflow", 1000)
    model = keras_effnets.MobileNetV1(alpha=0.25, weights=report.out)
    assert model.name == "mobilenet_v1_0.25"
