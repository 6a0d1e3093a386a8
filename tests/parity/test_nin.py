"""Network In Network against the authors' tables, written in torch."""

import pytest

pytest.importorskip("torch", reason="parity needs torch: the test extra")

import plain


@pytest.mark.parametrize(
    ("name", "side"), [("nin", 96), ("nin", 97), ("nin_cifar", 32), ("nin_cifar", 33)]
)
def test_every_block_agrees(name, side, tmp_path):
    plain.assert_agrees(plain.reference(name, side), tmp_path)


@pytest.mark.parametrize(
    ("name", "side", "mistakes"),
    [
        ("nin", 96, (plain.edited("mlpconv1", padding=5), plain.edited("pool1", ceil_mode=False))),
        ("nin_cifar", 32, (plain.edited("pool", ceil_mode=False),)),
    ],
)
def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(name, side, mistakes, tmp_path):
    mistakes = (*mistakes, plain.edited("preprocessing", normalize=False), linear_maps)
    plain.assert_mistakes_show(plain.reference(name, side), tmp_path, mistakes)


def linear_maps(model):
    """A mistake: no ReLU behind the classes' maps."""
    mutant = plain.compare.renewed(model, ["classifier"])
    mutant.get_layer("classifier").conv.activation = plain.keras.activations.linear
    return mutant


def test_float64_agrees_to_eight_digits(tmp_path):
    plain.assert_agrees_in_float64(plain.reference("nin_cifar", 33), tmp_path)
