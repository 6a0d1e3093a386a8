"""AlexNet against torchvision's, and that of 2012 against its table written in torch."""

import pytest

pytest.importorskip("torch", reason="parity needs torch: the test extra")

import living
import plain

import keras_effnets
from keras_effnets.layers import LocalResponseNormalization

MUTANTS = (
    plain.edited("conv1", padding=5),
    plain.edited("pool1", ceil_mode=True),
    plain.edited("pool2", pool_size=2),
    plain.picture_flattened_as_in_torch,
)


@pytest.mark.parametrize("side", [96, 97, 291])
def test_torchvision_agrees_behind_every_layer(side, tmp_path):
    """The features are smaller than 6×6 pixels at first, and larger at last, 8×8."""
    plain.assert_agrees(plain.reference("alexnet", side), tmp_path)


@pytest.mark.parametrize("side", [96, 97])
def test_2012_agrees_behind_every_layer(side, tmp_path):
    plain.assert_agrees(plain.reference("alexnet_2012", side), tmp_path)


def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    plain.assert_mistakes_show(
        plain.reference("alexnet", 100),
        tmp_path,
        (*MUTANTS, plain.edited("preprocessing", normalize=False)),
    )


def test_a_mistake_of_2012_exceeds_the_tolerance_tenfold(tmp_path):
    mistakes = (
        plain.edited("norm", alpha=LocalResponseNormalization().alpha / 5),
        plain.edited("norm", bias=1.0),
        plain.edited("norm", size=3),
    )
    plain.assert_mistakes_show(plain.reference("alexnet_2012", 96), tmp_path, mistakes)


def test_float64_agrees_to_eight_digits(tmp_path):
    plain.assert_agrees_in_float64(plain.reference("alexnet_2012", 97), tmp_path)


@pytest.mark.full
def test_the_whole_network_agrees(tmp_path):
    module = living.import_torchvision().models.alexnet()
    reference = plain.reference("alexnet", 224, module)
    tolerance = plain.tolerance_of(reference)
    plain.torch.save(reference.state_dict, tmp_path / "whole.pth")
    model = keras_effnets.AlexNet(weights=tmp_path / "whole.pth", classifier_activation=None)
    found = plain.compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance, found
