"""SqueezeNet against torchvision's."""

import pytest

pytest.importorskip("torch", reason="parity needs torch: the test extra")

import plain

NAMES = ("squeezenet1_0", "squeezenet1_1")


@pytest.mark.parametrize("side", [64, 97])
@pytest.mark.parametrize("name", NAMES)
def test_logits_and_every_layer_agree(name, side, tmp_path):
    plain.assert_agrees(plain.reference(name, side), tmp_path)


@pytest.mark.parametrize("bypass", ["simple", "complex"])
@pytest.mark.parametrize("name", NAMES)
def test_a_bypass_agrees(name, bypass, tmp_path):
    reference = plain.reference(name, 65, plain.bypassed(name, bypass))
    plain.assert_agrees(reference, tmp_path, bypass=bypass)


def expansions_swapped(model):
    """A mistake: the 3×3's channels first."""
    mutant = plain.compare.renewed(model, ["fire5"])
    fire = mutant.get_layer("fire5")
    fire.expand1x1, fire.expand3x3 = fire.expand3x3, fire.expand1x1
    return mutant


def linear_maps(model):
    """A mistake: no ReLU behind the classes' maps."""
    mutant = plain.compare.renewed(model, ["classifier"])
    mutant.get_layer("classifier").conv.activation = plain.keras.activations.linear
    return mutant


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(name, tmp_path):
    mistakes = (
        plain.edited("conv1", padding="symmetric"),
        plain.edited("pool", ceil_mode=False),
        plain.edited("preprocessing", normalize=False),
        expansions_swapped,
        linear_maps,
    )
    plain.assert_mistakes_show(plain.reference(name, 66), tmp_path, mistakes)


def test_float64_agrees_to_eight_digits(tmp_path):
    plain.assert_agrees_in_float64(plain.reference("squeezenet1_0", 65), tmp_path)
