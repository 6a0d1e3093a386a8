"""GoogLeNet against torchvision: its input transform, its pools, its auxiliary classifiers."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import living  # noqa: E402
import numpy as np  # noqa: E402
from plain import tolerance_of  # noqa: E402

import keras_effnets  # noqa: E402

BLOCKS = ("inception3a", "inception3b", "inception4a", "inception4e", "inception5b")
TAPS = {"pool1": "maxpool1", "pool2": "maxpool2", "pool4": "maxpool4"}
TAPS |= {name: name for name in BLOCKS}


def reference_of(side):
    """With the transform that comes with the published weights."""
    module = living.import_torchvision().models.googlenet(transform_input=True, init_weights=False)
    return living.reference("googlenet", module, TAPS, side, small_norms=[])


def converted(reference, folder, **options):
    torch.save(reference.state_dict, folder / "reference.pth")
    side = reference.pictures.shape[1]
    return keras_effnets.GoogLeNet(
        weights=folder / "reference.pth",
        input_shape=(side, side, 3),
        classifier_activation=None,
        **options,
    )


@pytest.mark.parametrize("side", [96, 97])
def test_logits_and_blocks_agree(side, tmp_path):
    reference = reference_of(side)
    model = converted(reference, tmp_path)
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance_of(reference), found


def test_auxiliary_classifiers_agree(tmp_path):
    """Theirs answer in training mode only, where batch norms use the batch: so one at a time."""
    reference = reference_of(96)
    model = converted(reference, tmp_path, aux_heads=True)
    outputs = model(reference.pictures, training=False)
    assert set(outputs) == {"classifier", "aux1", "aux2"}
    logits = np.asarray(outputs["classifier"])
    assert compare.relative_error(logits, reference.logits) <= tolerance_of(reference)
    taps = {"aux1": "inception4a", "aux2": "inception4d"}
    _, features = living.run_reference(
        reference.module, reference.pictures, taps, reference.mean, reference.std
    )
    for name in taps:
        given = torch.from_numpy(features[name].transpose(0, 3, 1, 2).copy())
        with torch.no_grad():
            expected = getattr(reference.module, name).eval()(given).numpy()
        found = np.asarray(outputs[name])
        assert compare.relative_error(found, expected) <= compare.TOLERANCE


def _edited(change):
    return lambda model: compare.configured(model, change)


def floor_pools(config):
    if "ceil_mode" in config:
        config["ceil_mode"] = False


def epsilon(config):
    if "epsilon" in config:
        config["epsilon"] = 1e-1


def imagenet_pixels(config):
    """Without torchvision's transform."""
    if "preset" in config:
        mean, std = living.IMAGENET_MEAN, living.IMAGENET_STD
        config["preset"] = {**config["preset"], "mean": mean, "std": std}


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    reference = reference_of(96)
    return reference, converted(reference, tmp_path_factory.mktemp("right"))


@pytest.mark.parametrize("change", [floor_pools, epsilon, imagenet_pixels])
def test_a_mistake_exceeds_the_tolerance_tenfold(change, right):
    reference, model = right
    mutant = _edited(change)(model)
    logits = compare.logits(mutant, reference.pictures)
    error = compare.relative_error(logits, reference.logits)
    assert error > 10 * tolerance_of(reference), f"{error:.1e} only"
