"""EfficientNet-Lite against the original PyTorch network: living weights and the real ones."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")
original = pytest.importorskip(
    "efficientnet_lite_pytorch", reason="the original network is in the test extra"
)

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import photographs  # noqa: E402
import pretrained  # noqa: E402

import keras_effnets  # noqa: E402

SIDES = (96, 97)


def ours(reference: living.Reference, number: int, folder: Path) -> keras.Model:
    path = folder / "reference.pth"
    torch.save(reference.state_dict, path)
    return keras_effnets.create_model(
        f"efficientnet_lite{number}",
        weights=path,
        input_shape=(*reference.pictures.shape[1:3], 3),
        classifier_activation=None,
    )


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("number", [0, 1, 2, pytest.param(3, marks=pytest.mark.full), 4])
def test_logits_and_every_stage_agree(number, side, tmp_path):
    reference = living.efficientnet_lite_reference(f"efficientnet-lite{number}", side)
    assert reference.spread() >= 0.1
    assert (noise := reference.noise()) <= 5e-5
    model = ours(reference, number, tmp_path)
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= max(compare.TOLERANCE, 4 * noise), found


def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    reference = living.efficientnet_lite_reference("efficientnet-lite0", 96)
    model = ours(reference, 0, tmp_path)
    for mutate in (
        compare.stem_padding,
        compare.block_padding,
        compare.epsilon,
        compare.missing_skip,
        compare.unclipped_relu,
        compare.pixel_scale,
    ):
        logits = compare.logits(mutate(model), reference.pictures)
        error = compare.relative_error(logits, reference.logits)
        assert error > 10 * compare.TOLERANCE, f"{mutate.__name__}: {error:.1e}"


def test_float64_agrees_to_eight_digits(tmp_path):
    reference = living.efficientnet_lite_reference("efficientnet-lite0", 97)
    logits, features = reference.run(torch.float64)
    keras.config.set_dtype_policy("float64")
    try:
        found = compare.errors(ours(reference, 0, tmp_path), reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found


@pytest.mark.parametrize("number", [0, 1, 2])
def test_the_real_checkpoint_answers_real_photographs_as_the_original(number):
    info = keras_effnets.model_info(f"efficientnet_lite{number}").weights["EFFICIENTNET_PYTORCH"]
    path = pretrained.checkpoint(f"efficientnet_lite{number}")
    module = original.EfficientNet.from_name(f"efficientnet-lite{number}")
    module.load_state_dict(torch.load(path, weights_only=True))
    module.eval()
    pictures = np.stack(
        [keras_effnets.load_image(photo, info.preset) for photo in photographs.paths()]
    )
    with torch.inference_mode():
        normalised = living.normalised(pictures, info.preset.mean, info.preset.std)
        expected = module(normalised).numpy()
    model = keras_effnets.create_model(f"efficientnet_lite{number}", classifier_activation=None)
    logits = np.asarray(model(pictures, training=False))
    assert np.abs(logits - expected).max() <= 1e-4
    assert (logits.argmax(1) == expected.argmax(1)).all()
