"""The paper's GoogLeNet against one written in torch from its table."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

import compare  # noqa: E402
import living  # noqa: E402
import numpy as np  # noqa: E402
import plain  # noqa: E402
from torch import nn  # noqa: E402

import keras_effnets  # noqa: E402

TABLE = {
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
    "inception4c": (512, 128, 128, 256, 24, 64, 64),
    "inception4d": (512, 112, 144, 288, 32, 64, 64),
    "inception4e": (528, 256, 160, 320, 32, 128, 128),
    "inception5a": (832, 256, 160, 320, 32, 128, 128),
    "inception5b": (832, 384, 192, 384, 48, 128, 128),
}
AUXILIARY = {"aux1": ("inception4a", 512), "aux2": ("inception4d", 528)}
TAPS = {"pool1": "pool1", "norm1": "norm1", "pool2": "pool2", **{name: name for name in TABLE}}


class Conv(nn.Module):
    """Convolution and ReLU, under torchvision's name for the convolution."""

    def __init__(self, *arguments, **options):
        super().__init__()
        self.conv = nn.Conv2d(*arguments, **options)

    def forward(self, x):
        return torch.relu(self.conv(x))


class Block(nn.Module):
    def __init__(self, channels, one, reduce3, three, reduce5, five, project):
        super().__init__()
        self.branch1 = Conv(channels, one, 1)
        self.branch2 = nn.Sequential(Conv(channels, reduce3, 1), Conv(reduce3, three, 3, padding=1))
        self.branch3 = nn.Sequential(Conv(channels, reduce5, 1), Conv(reduce5, five, 5, padding=2))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), Conv(channels, project, 1))

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.children()], 1)


class Auxiliary(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = Conv(channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, 1000)

    def forward(self, x):
        x = self.conv(nn.functional.avg_pool2d(x, 5, 3)).flatten(1)
        return self.fc2(torch.relu(self.fc1(x)))


class InceptionV1(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = Conv(3, 64, 7, 2, 3)
        self.pool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.norm1 = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1)
        self.conv2 = Conv(64, 64, 1)
        self.conv3 = Conv(64, 192, 3, padding=1)
        self.norm2 = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1)
        self.pool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        for name, row in TABLE.items():
            self.add_module(name, Block(*row))
        for name, (_, channels) in AUXILIARY.items():
            self.add_module(name, Auxiliary(channels))
        self.fc = nn.Linear(1024, 1000)

    def forward(self, x):
        x = self.conv3(self.conv2(self.norm1(self.pool1(self.conv1(x)))))
        x = self.pool2(self.norm2(x))
        for name in TABLE:
            if name in ("inception4a", "inception5a"):
                x = nn.functional.max_pool2d(x, 3, 2, ceil_mode=True)
            x = getattr(self, name)(x)
        return self.fc(x.mean((2, 3)))


def reference_of(side):
    preset = keras_effnets.InceptionV1.config.input_preset
    colours = {"mean": preset.mean, "std": preset.std}
    return living.reference("inception_v1", InceptionV1(), TAPS, side, gain=plain.GAIN, **colours)


@pytest.mark.parametrize("side", [64, 65])
def test_logits_and_blocks_agree(side, tmp_path):
    plain.assert_agrees(reference_of(side), tmp_path)


def test_auxiliary_classifiers_agree(tmp_path):
    reference = reference_of(224)  # their windows are 4 x 4 at no small side
    outputs = plain.converted(reference, tmp_path, aux_heads=True)(reference.pictures)
    taps = {name: block for name, (block, _) in AUXILIARY.items()}
    _, features = living.run_reference(
        reference.module, reference.pictures, taps, reference.mean, reference.std
    )
    for name in taps:
        with torch.no_grad():
            given = torch.from_numpy(features[name].transpose(0, 3, 1, 2).copy())
            expected = getattr(reference.module, name)(given).numpy()
        assert living.spread(expected) >= 0.1
        assert compare.relative_error(np.asarray(outputs[name]), expected) <= compare.TOLERANCE


def branches_in_another_order(model):
    mutant = compare.renewed(model, ["inception4b"])
    mutant.get_layer("inception4b")._branches.reverse()
    return mutant


@pytest.mark.full
def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(tmp_path):
    mistakes = (
        plain.edited("norm1", alpha=1e-4),
        plain.edited("pool1", ceil_mode=False),
        plain.edited("pool4", ceil_mode=False),
        branches_in_another_order,
        compare.pixel_scale,
    )
    plain.assert_mistakes_show(reference_of(96), tmp_path, mistakes)


def test_float64_agrees_to_eight_digits(tmp_path):
    plain.assert_agrees_in_float64(reference_of(65), tmp_path)
