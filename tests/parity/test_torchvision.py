"""Every network against torchvision's, stage by stage, with weights that keep it alive."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402

import keras_effnets  # noqa: E402
from keras_effnets.weights.catalog import WEIGHTS  # noqa: E402

SIDES = (96, 97)
SHARED_MUTANTS = (
    compare.stem_padding,
    compare.block_padding,
    compare.epsilon,
    compare.missing_skip,
    compare.pixel_scale,
)


def reference_of(name: str, side: int) -> living.Reference:
    if name == "mobilenet_v2":
        return living.mobilenet_v2_reference(1.0, side)
    return living.efficientnet_reference(name, side)


def converted(name: str, reference: living.Reference, folder: Path, **options) -> keras.Model:
    """Our network, from a checkpoint that torch wrote and nothing but our converter read."""
    path = folder / "reference.pth"
    torch.save(reference.state_dict, path)
    return keras_effnets.create_model(
        name,
        weights=path,
        input_shape=(*reference.pictures.shape[1:3], 3),
        classifier_activation=None,
        **options,
    )


def assert_alive(reference: living.Reference) -> float:
    """Both figures that a comparison depends on; returns the tolerance that follows."""
    noise = reference.noise()
    assert reference.spread() >= 0.1
    assert noise <= 5e-5
    return max(compare.TOLERANCE, 4 * noise)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(
    "name",
    [
        "efficientnet_b0",
        *(pytest.param(f"efficientnet_b{n}", marks=pytest.mark.full) for n in range(1, 8)),
        "mobilenet_v2",
    ],
)
def test_logits_and_every_stage_agree(name, side, tmp_path):
    reference = reference_of(name, side)
    tolerance = assert_alive(reference)
    model = converted(name, reference, tmp_path)
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance, found


@pytest.mark.parametrize("alpha", [0.35, 1.4])
def test_other_widths_of_mobilenet_v2_agree(alpha, tmp_path):
    reference = living.mobilenet_v2_reference(alpha, 97)
    tolerance = assert_alive(reference)
    model = converted("mobilenet_v2", reference, tmp_path, alpha=alpha)
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance, found


@pytest.mark.parametrize(
    ("name", "mutants"),
    [
        ("efficientnet_b0", (*SHARED_MUTANTS, compare.squeeze_activation)),
        ("mobilenet_v2", (*SHARED_MUTANTS, compare.unclipped_relu)),
    ],
)
def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(name, mutants, tmp_path):
    reference = reference_of(name, 96)
    tolerance = assert_alive(reference)
    model = converted(name, reference, tmp_path)
    for mutate in mutants:
        logits = compare.logits(mutate(model), reference.pictures)
        error = compare.relative_error(logits, reference.logits)
        assert error > 10 * tolerance, f"{mutate.__name__} changes the logits by {error:.1e} only"


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2"])
def test_float64_agrees_to_eight_digits(name, tmp_path):
    reference = reference_of(name, 97)
    logits, features = reference.run(torch.float64)
    keras.config.set_dtype_policy("float64")
    try:
        model = converted(name, reference, tmp_path)
        found = compare.errors(model, reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found


def test_the_profile_that_is_not_the_checkpoints_is_refused(tmp_path):
    reference = living.mobilenet_v2_reference(0.35, 64)
    with pytest.raises(ValueError, match="profile='tensorflow'"):
        converted("mobilenet_v2", reference, tmp_path, alpha=0.35, profile="tensorflow")


def test_the_catalog_says_what_torchvision_says():
    torchvision = living.import_torchvision()
    ours = {
        name: sets
        for name, sets in WEIGHTS.items()
        if sets[0].accuracy_source == "torchvision 0.28"
    }
    assert sum(map(len, ours.values())) == 51
    for name in ours:
        published = torchvision.models.get_model_weights(name)
        assert WEIGHTS[name][0].name == published.DEFAULT.name
        for info in WEIGHTS[name]:
            theirs = published[info.name]
            assert info.parameters == theirs.meta["num_params"]
            assert info.url == theirs.url
            metrics = theirs.meta["_metrics"]["ImageNet-1K"]
            accuracies = [metrics["acc@1"], metrics["acc@5"]]
            expected = [None if value != value else value for value in accuracies]
            assert [info.top1, info.top5] == expected
            transforms = theirs.transforms()
            assert [info.preset.crop] == transforms.crop_size
            assert [info.preset.resize] == transforms.resize_size
            assert info.preset.interpolation == transforms.interpolation.value
            if name == "googlenet":  # which maps ImageNet's scale to its own, see the CSV
                continue
            assert info.preset.mean == pytest.approx([255 * m for m in transforms.mean])
            assert info.preset.std == pytest.approx([255 * s for s in transforms.std])
