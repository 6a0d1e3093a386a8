"""DenseNet for CIFAR against one written in torch from the paper, with torchvision's blocks."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

from collections import OrderedDict  # noqa: E402

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
import plain  # noqa: E402
from torch import nn  # noqa: E402

import keras_effnets  # noqa: E402
from keras_effnets.plan.config import CIFAR  # noqa: E402

TAPS = {f"stage{n}": f"features.denseblock{n}" for n in (1, 2, 3)}
TAPS |= {f"transition{n}": f"features.transition{n}" for n in (1, 2)}
TAPS |= {"stem": "features.conv0", "top": "features.relu4"}
LAYERS, GROWTH = 3, 8


class Layer(nn.Module):
    """All features there are, with some new ones behind them."""

    def __init__(self, channels, bottleneck):
        super().__init__()
        widths = [(channels, 4 * GROWTH, 1), (4 * GROWTH, GROWTH, 3)]
        widths = widths if bottleneck else [(channels, GROWTH, 3)]
        for n, (before, behind, side) in enumerate(widths, start=1):
            self.add_module(f"norm{n}", nn.BatchNorm2d(before))
            self.add_module(
                f"conv{n}", nn.Conv2d(before, behind, side, padding=side // 2, bias=False)
            )

    def forward(self, x):
        new = x
        for layer in self.children():
            new = torch.relu(layer(new)) if isinstance(layer, nn.BatchNorm2d) else layer(new)
        return torch.cat([x, new], 1)


def transition(channels, filters):
    layers = {
        "norm": nn.BatchNorm2d(channels),
        "relu": nn.ReLU(),
        "conv": nn.Conv2d(channels, filters, 1, bias=False),
        "pool": nn.AvgPool2d(2),
    }
    return nn.Sequential(OrderedDict(layers))


class DenseNet(nn.Module):
    def __init__(self, bottleneck, compression):
        super().__init__()
        channels = 2 * GROWTH if bottleneck and compression < 1 else 16
        features = OrderedDict(conv0=nn.Conv2d(3, channels, 3, padding=1, bias=False))
        for number in (1, 2, 3):
            layers = {
                f"denselayer{n + 1}": Layer(channels + n * GROWTH, bottleneck)
                for n in range(LAYERS)
            }
            features[f"denseblock{number}"] = nn.Sequential(OrderedDict(layers))
            channels += LAYERS * GROWTH
            if number < 3:
                filters = int(channels * compression)
                features[f"transition{number}"] = transition(channels, filters)
                channels = filters
        features["norm4"] = nn.BatchNorm2d(channels)
        features["relu4"] = nn.ReLU()
        self.features = nn.Sequential(features)
        self.classifier = nn.Linear(channels, 10)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))


def reference_and_model(bottleneck, compression, side, folder):
    module = DenseNet(bottleneck, compression)
    colours = {"mean": CIFAR.mean, "std": CIFAR.std}
    reference = living.reference("densenet_cifar", module, TAPS, side, small_norms=[], **colours)
    torch.save(reference.state_dict, folder / "reference.pth")
    model = keras_effnets.DenseNetCIFAR(
        depth=4 + 3 * LAYERS * (1 + bottleneck),
        growth_rate=GROWTH,
        bottleneck=bottleneck,
        compression=compression,
        weights=folder / "reference.pth",
        input_shape=(side, side, 3),
        classifier_activation=None,
    )
    return reference, model


@pytest.mark.parametrize("side", [32, 33])
@pytest.mark.parametrize(("bottleneck", "compression"), [(True, 0.5), (False, 1.0), (True, 1.0)])
def test_logits_and_blocks_agree(bottleneck, compression, side, tmp_path):
    reference, model = reference_and_model(bottleneck, compression, side, tmp_path)
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= plain.tolerance_of(reference), found


def test_new_features_in_front_exceed_the_tolerance_tenfold(tmp_path):
    reference, model = reference_and_model(True, 0.5, 32, tmp_path)
    kernel = model.get_layer("transition1").conv.kernel
    kernel.assign(kernel[:, :, ::-1])
    logits, _ = compare.run(model, reference.pictures, {})
    error = compare.relative_error(logits, reference.logits)
    assert error > 10 * plain.tolerance_of(reference)


def test_float64_agrees_to_eight_digits(tmp_path):
    keras.config.set_dtype_policy("float64")
    try:
        reference, model = reference_and_model(True, 0.5, 33, tmp_path)
        logits, features = reference.run(torch.float64)
        found = compare.errors(model, reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found
