"""ZFNet against the sides of its paper's figure, written in torch."""

import pytest

pytest.importorskip("torch", reason="parity needs torch: the test extra")

import plain


@pytest.mark.parametrize("side", [96, 97, 224])
def test_every_layer_agrees(side, tmp_path):
    plain.assert_agrees(plain.reference("zfnet", side), tmp_path)


def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    mistakes = (
        plain.edited("conv1", padding=3),
        plain.edited("pool1", ceil_mode=False),
        plain.edited("norm", alpha=2e-5),
        plain.edited("preprocessing", normalize=False),
        plain.picture_flattened_as_in_torch,
    )
    plain.assert_mistakes_show(plain.reference("zfnet", 96), tmp_path, mistakes)


def test_float64_agrees_to_eight_digits(tmp_path):
    plain.assert_agrees_in_float64(plain.reference("zfnet", 65), tmp_path)
