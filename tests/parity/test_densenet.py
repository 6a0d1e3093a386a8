"""DenseNet against torchvision and keras.applications."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import numpy as np  # noqa: E402
from plain import tolerance_of  # noqa: E402
from test_resnet import calibrate  # noqa: E402

import keras_effnets  # noqa: E402

TAPS = {"stem": "features.pool0", "top": "features.norm5"}
TAPS |= {f"stage{n}": f"features.denseblock{n}" for n in (1, 2, 3, 4)}
TAPS |= {f"transition{n}": f"features.transition{n}" for n in (1, 2, 3)}
LEGACY = (("norm1", "norm.1"), ("norm2", "norm.2"), ("conv1", "conv.1"), ("conv2", "conv.2"))


def reference_of(name, side):
    module = getattr(living.import_torchvision().models, name)()
    reference = living.reference(name, module, TAPS, side, small_norms=[])
    # torchvision applies the last ReLU outside its features.
    reference.features["top"] = np.maximum(reference.features["top"], 0)
    return reference


def legacy(state):
    """With the older names of the published files."""
    found = {}
    for name, tensor in state.items():
        if ".denselayer" in name:
            for new, old in LEGACY:
                name = name.replace(f".{new}.", f".{old}.")
        found[name] = tensor
    return found


def converted(reference, folder, state=None, **options):
    torch.save(reference.state_dict if state is None else state, folder / "reference.pth")
    side = reference.pictures.shape[1]
    return keras_effnets.create_model(
        reference.name,
        weights=folder / "reference.pth",
        input_shape=(side, side, 3),
        classifier_activation=None,
        **options,
    )


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("densenet121", 64),
        ("densenet121", 65),
        pytest.param("densenet161", 65, marks=pytest.mark.full),
        pytest.param("densenet169", 64, marks=pytest.mark.full),
        pytest.param("densenet201", 65, marks=pytest.mark.full),
    ],
)
def test_logits_and_blocks_agree(name, side, tmp_path):
    reference = reference_of(name, side)
    model = converted(reference, tmp_path, legacy(reference.state_dict))
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance_of(reference), found
    modern = converted(reference, tmp_path, memory_efficient=True)
    logits, _ = compare.run(modern, reference.pictures, {})
    assert compare.relative_error(logits, reference.logits) <= tolerance_of(reference)


def epsilon(config):
    if "epsilon" in config:
        config["epsilon"] = 1e-3


def stem_padding(config):
    if config["name"] == "stem":
        config["padding"] = "same"


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    reference = reference_of("densenet121", 64)
    return reference, converted(reference, tmp_path_factory.mktemp("right"))


@pytest.mark.parametrize("change", [epsilon, stem_padding])
def test_a_mistake_exceeds_the_tolerance_tenfold(change, right):
    reference, model = right
    mutant = compare.configured(model, change)
    logits = compare.logits(mutant, reference.pictures)
    error = compare.relative_error(logits, reference.logits)
    assert error > 10 * tolerance_of(reference), f"{error:.1e} only"


@pytest.mark.full
def test_keras_applications_agrees(tmp_path):
    side = 65
    theirs = keras.applications.DenseNet121(
        weights=None, input_shape=(side, side, 3), classifier_activation=None
    )
    rng = np.random.default_rng(0)
    for layer in theirs.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.uniform(-0.5, 0.5, layer.beta.shape))
    pixels = living.unlike_pictures(4, side, 0)
    given = keras.applications.densenet.preprocess_input(pixels.copy())
    calibrate(theirs, given)
    theirs.save(tmp_path / "theirs.keras")
    expected = np.asarray(theirs(given, training=False))
    assert living.spread(expected) >= 0.1
    model = keras_effnets.DenseNet121(
        weights=tmp_path / "theirs.keras", input_shape=(side, side, 3), classifier_activation=None
    )
    found = np.asarray(model(pixels, training=False))
    assert compare.relative_error(found, expected) <= compare.TOLERANCE
