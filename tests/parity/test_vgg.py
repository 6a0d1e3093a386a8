"""VGG against torchvision, timm and keras.applications."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import numpy as np  # noqa: E402
import plain  # noqa: E402
import shrunken  # noqa: E402

import keras_effnets  # noqa: E402

NAMES = [f"vgg{depth}{end}" for depth in (11, 13, 16, 19) for end in ("", "_bn")]
QUICK = ("vgg11", "vgg16_bn")


@pytest.mark.parametrize("side", [64, 65])
@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.full) for n in NAMES]
)
def test_torchvision_agrees_behind_every_layer(name, side, tmp_path):
    plain.assert_agrees(plain.reference(name, side), tmp_path)


def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    mistakes = (
        plain.edited("pool3", ceil_mode=True),
        plain.edited("conv3_1", activation=None),
        plain.edited("preprocessing", normalize=False),
        plain.picture_flattened_as_in_torch,
        compare.pixel_scale,
    )
    plain.assert_mistakes_show(plain.reference("vgg11", 100), tmp_path, mistakes)


def test_a_mistake_in_the_batch_norm_exceeds_the_tolerance_tenfold(tmp_path):
    mistakes = (compare.epsilon, compare.pixel_scale)
    plain.assert_mistakes_show(plain.reference("vgg11_bn", 64), tmp_path, mistakes)


def test_float64_agrees_to_eight_digits(tmp_path):
    plain.assert_agrees_in_float64(plain.reference("vgg11_bn", 33), tmp_path)


def test_timm_agrees(tmp_path):
    """Its hidden layers are convolutions."""
    timm = pytest.importorskip("timm", reason="timm is in the test extra")
    module = plain.without_values(lambda: timm.create_model("vgg11_bn", pretrained=False))
    hidden = shrunken.HIDDEN
    module.pre_logits.fc1 = torch.nn.Conv2d(512, hidden, 7)
    module.pre_logits.fc2 = torch.nn.Conv2d(hidden, hidden, 1)
    module.head.fc = torch.nn.Linear(hidden, 1000)
    plain.assert_agrees(plain.reference("vgg11_bn", 65, module), tmp_path)


def living_keras(name, **options):
    """The network of keras.applications, its weights scaled so that the signal stays alive."""
    model = getattr(keras.applications, name)(weights=None, classifier_activation=None, **options)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.weights:
            kernel, bias = layer.weights
            fan_in = np.prod(kernel.shape[:-1])
            kernel.assign(rng.normal(0, (2 / fan_in) ** 0.5, kernel.shape))
            bias.assign(rng.uniform(-0.1, 0.1, bias.shape))
    return model


def assert_keras_agrees(name, theirs, folder, side, **options):
    path = folder / "theirs.keras"
    theirs.save(path)
    pictures = living.unlike_pictures(4, side, 0)
    given = keras.applications.vgg16.preprocess_input(pictures.copy())
    expected = np.asarray(theirs(given, training=False))
    flat = expected.reshape(len(expected), -1)
    assert living.spread(flat) >= 0.1
    model = keras_effnets.create_model(
        name,
        weights=path,
        input_shape=(side, side, 3),
        classifier_activation=None,
        **options,
    )
    assert model.get_layer("preprocessing").preset.std == (1, 1, 1)
    found = np.asarray(model(pictures, training=False))
    assert compare.relative_error(found, expected) <= compare.TOLERANCE
    wrong = np.asarray(compare.pixel_scale(model)(pictures, training=False))
    assert compare.relative_error(wrong, expected) > 10 * compare.TOLERANCE


@pytest.mark.parametrize(
    ("name", "theirs", "side"),
    [("vgg16", "VGG16", 64), ("vgg16", "VGG16", 65), ("vgg19", "VGG19", 65)],
)
def test_features_of_keras_applications_agree(name, theirs, side, tmp_path):
    model = living_keras(theirs, include_top=False, input_shape=(side, side, 3))
    assert_keras_agrees(name, model, tmp_path, side, include_top=False)


@pytest.mark.full
def test_the_whole_of_keras_applications_agrees(tmp_path):
    assert_keras_agrees("vgg16", living_keras("VGG16"), tmp_path, 224)


@pytest.mark.full
def test_the_whole_of_torchvision_agrees(tmp_path):
    module = living.import_torchvision().models.vgg16()
    reference = plain.reference("vgg16", 224, module)
    tolerance = plain.tolerance_of(reference)
    torch.save(reference.state_dict, tmp_path / "whole.pth")
    model = keras_effnets.VGG16(weights=tmp_path / "whole.pth", classifier_activation=None)
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance, found
