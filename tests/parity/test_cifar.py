"""The residual networks for CIFAR against torch, written here from the papers' tables."""

import pytest

torch = pytest.importorskip("torch", reason="parity needs torch: the test extra")

from functools import partial  # noqa: E402
from typing import NamedTuple  # noqa: E402

import compare  # noqa: E402
import keras  # noqa: E402
import living  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from keras_effnets.models import preact_cifar, resnext_cifar  # noqa: E402
from keras_effnets.models import resnet_cifar as cifar_resnet  # noqa: E402
from keras_effnets.models.builder import create  # noqa: E402

MEAN, STD = (125.3, 123.0, 113.9), (63.0, 62.1, 66.7)


class Conv(NamedTuple):
    filters: int
    kernel: int = 3
    stride: int = 1
    groups: int = 1


def padded(x, filters, stride):
    """Option A: every second pixel, and zeros behind the channels."""
    x = x[:, :, ::stride, ::stride]
    return functional.pad(x, (0, 0, 0, 0, 0, filters - x.shape[1]))


def pooled(x, filters, stride):
    """Stochastic Depth's: means of 2×2."""
    if stride > 1:
        x = functional.avg_pool2d(x, stride, ceil_mode=True, count_include_pad=False)
    return functional.pad(x, (0, 0, 0, 0, 0, filters - x.shape[1]))


class Block(nn.Module):
    """Convolutions with a batch norm each; ReLU between them and behind the sum."""

    def __init__(self, channels, convs, shortcut, survival=1.0):
        super().__init__()
        self.stride = max(conv.stride for conv in convs)
        self.filters, self.shortcut, self.survival = convs[-1].filters, shortcut, survival
        self.count, inner = len(convs), channels
        for n, (filters, kernel, stride, groups) in enumerate(convs, start=1):
            conv = nn.Conv2d(inner, filters, kernel, stride, kernel // 2, groups=groups, bias=False)
            self.add_module(f"conv{n}", conv)
            self.add_module(f"bn{n}", nn.BatchNorm2d(filters))
            inner = filters
        if shortcut == "B" and (self.stride > 1 or channels != self.filters):
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, self.filters, 1, self.stride, bias=False),
                nn.BatchNorm2d(self.filters),
            )

    def forward(self, x):
        y = x
        for n in range(1, self.count + 1):
            y = getattr(self, f"bn{n}")(getattr(self, f"conv{n}")(y))
            y = functional.relu(y) if n < self.count else self.survival * y
        if self.shortcut is None:
            return functional.relu(y)
        if self.shortcut == "B":
            return functional.relu(y + (self.downsample(x) if hasattr(self, "downsample") else x))
        return functional.relu(y + self.shortcut(x, self.filters, self.stride))


class PreActivated(nn.Module):
    """Batch norm and ReLU before each convolution; where channels change they are shared."""

    def __init__(self, channels, convs, **_):
        super().__init__()
        self.count, inner = len(convs), channels
        for n, (filters, kernel, stride, _groups) in enumerate(convs, start=1):
            self.add_module(f"bn{n}", nn.BatchNorm2d(inner))
            conv = nn.Conv2d(inner, filters, kernel, stride, kernel // 2, bias=False)
            self.add_module(f"conv{n}", conv)
            inner = filters
        self.downsample = None
        if channels != inner:
            stride = max(conv.stride for conv in convs)
            self.downsample = nn.Conv2d(channels, inner, 1, stride, bias=False)

    def forward(self, x):
        shortcut = x
        for n in range(1, self.count + 1):
            x = functional.relu(getattr(self, f"bn{n}")(x))
            if n == 1 and self.downsample is not None:
                shortcut = self.downsample(x)
            x = getattr(self, f"conv{n}")(x)
        return x + shortcut


class Network(nn.Module):
    """A 3×3 stem, three stages of blocks, the mean, ten classes."""

    def __init__(self, block, stem, stages, **options):
        super().__init__()
        self.preactivated = block is PreActivated
        self.conv1 = nn.Conv2d(3, stem, 3, padding=1, bias=False)
        channels = stem
        total, position = sum(map(len, stages)), 0
        survival = options.pop("survival", 1.0)
        if not self.preactivated:
            self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU()
        for number, stage in enumerate(stages, start=1):
            blocks = []
            for convs in stage:
                position += 1
                kept = 1 - position / total * (1 - survival)
                blocks.append(block(channels, convs, survival=kept, **options))
                channels = convs[-1].filters
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        if self.preactivated:
            self.bn = nn.BatchNorm2d(channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, 10)

    def forward(self, x):
        x = self.conv1(x)
        if not self.preactivated:
            x = self.relu(self.bn1(x))
        x = self.layer3(self.layer2(self.layer1(x)))
        if self.preactivated:
            x = functional.relu(self.bn(x))
        return self.fc(self.pool(x).flatten(1))


def stages(block_of, repeats):
    """Three stages, of which the second and the third begin with a stride."""
    return [
        [block_of(number, 2 if number and not index else 1) for index in range(repeats)]
        for number in range(3)
    ]


def basic(number, stride, widen=1):
    return [Conv(16 * widen * 2**number, stride=stride), Conv(16 * widen * 2**number)]


def bottleneck(number, stride):
    inner = 16 * 2**number
    return [Conv(inner, 1, stride), Conv(inner), Conv(4 * inner, 1)]


def grouped(number, stride):
    inner = 4 * 8 * 2**number
    return [Conv(inner, 1), Conv(inner, 3, stride, 4), Conv(256 * 2**number, 1)]


SHRUNKEN = {"name": "shrunken", "depth": 14}
FAMILIES = {
    "option A": (
        lambda: Network(Block, 16, stages(basic, 2), shortcut=padded),
        cifar_resnet,
        cifar_resnet.ResNetCIFARConfig(**SHRUNKEN),
    ),
    "option B": (
        lambda: Network(Block, 16, stages(basic, 2), shortcut="B"),
        cifar_resnet,
        cifar_resnet.ResNetCIFARConfig(**SHRUNKEN, shortcut="B"),
    ),
    "plain": (
        lambda: Network(Block, 16, stages(basic, 1), shortcut=None),
        cifar_resnet,
        cifar_resnet.ResNetCIFARConfig(name="shrunken", depth=8, skip=False),
    ),
    "stochastic depth": (
        lambda: Network(Block, 16, stages(basic, 2), shortcut=pooled, survival=0.5),
        cifar_resnet,
        cifar_resnet.StochasticDepthConfig(**SHRUNKEN),
    ),
    "ResNeXt": (
        lambda: Network(Block, 64, stages(grouped, 2), shortcut="B"),
        resnext_cifar,
        resnext_cifar.ResNeXtCIFARConfig(name="shrunken", depth=20, cardinality=4, base_width=8),
    ),
    "pre-activation": (
        lambda: Network(PreActivated, 16, stages(bottleneck, 2)),
        preact_cifar,
        preact_cifar.PreActCIFARConfig(name="shrunken", depth=20),
    ),
    "wide": (
        lambda: Network(PreActivated, 16, stages(partial(basic, widen=2), 2)),
        preact_cifar,
        preact_cifar.WideResNetCIFARConfig(name="shrunken", depth=16, widen=2, dropout=0.3),
    ),
    "narrow": (
        lambda: Network(PreActivated, 16, stages(basic, 1)),
        preact_cifar,
        preact_cifar.WideResNetCIFARConfig(name="shrunken", depth=10, widen=1),
    ),
}


def reference_of(family, side):
    module = FAMILIES[family][0]()
    taps = {f"stage{n}": f"layer{n}" for n in (1, 2, 3)}
    taps |= {"stem": "conv1", "top": "pool:input"} if module.preactivated else {"stem": "relu"}
    ends = [
        f"{name}.bn{block.count}"
        for name, block in module.named_modules()
        if isinstance(block, PreActivated) or (isinstance(block, Block) and block.shortcut)
    ]
    return living.reference(
        family, module, taps, side, mean=MEAN, std=STD, small_norms=ends, count=6
    )


def converted(family, reference, folder):
    """Our network, from a checkpoint that torch wrote and nothing but our converter read."""
    _, module, config = FAMILIES[family]
    path = folder / "reference.pth"
    torch.save(reference.state_dict, path)
    shape = (*reference.pictures.shape[1:3], 3)
    options = {"weights": path, "input_shape": shape, "classifier_activation": None}
    return create(module.build, config, options)


def tolerance_of(reference):
    noise = reference.noise()
    assert reference.spread() >= 0.1
    assert noise <= 5e-5
    return max(compare.TOLERANCE, 4 * noise)


@pytest.mark.parametrize("side", [32, 33])
@pytest.mark.parametrize("family", FAMILIES)
def test_logits_and_every_stage_agree(family, side, tmp_path):
    reference = reference_of(family, side)
    tolerance = tolerance_of(reference)
    model = converted(family, reference, tmp_path)
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance, found


def edited(**options):
    """A mutation that gives every block other options."""

    def edit(config):
        if config["name"].startswith("stage"):
            config.update({key: value for key, value in options.items() if key in config})

    return lambda model: compare.configured(model, edit)


def bare_projection(model):
    mutant = compare.renewed(model, ["stage2_block0"])
    mutant.get_layer("stage2_block0")._projects = False
    return mutant


def activated_shortcut(model):
    mutant = compare.renewed(model, ["stage2_block1"])
    mutant.get_layer("stage2_block1")._projects = True
    return mutant


SHARED = {
    "padding": edited(padding="same"),
    "epsilon": compare.epsilon,
    "pixel scale": compare.pixel_scale,
}
MUTANTS = {
    "option A": {
        **SHARED,
        "means for pixels": edited(shortcut="pool"),
        "no shortcut": edited(shortcut="none"),
    },
    "stochastic depth": {
        **SHARED,
        "pixels for means": edited(shortcut="pad"),
        "survival left out": edited(drop_path=1e-9),
        "survival of another block": edited(drop_path=0.5),
    },
    "ResNeXt": {**SHARED, "stride on the first": edited(stride_on="1x1")},
    "pre-activation": {
        # No padding: what strides is a 1x1 convolution.
        "epsilon": compare.epsilon,
        "pixel scale": compare.pixel_scale,
        "stride on the second": edited(stride_on="3x3"),
        "projection of the bare input": bare_projection,
        "shortcut of the activated input": activated_shortcut,
    },
    "wide": {
        **SHARED,
        "projection of the bare input": bare_projection,
        "shortcut of the activated input": activated_shortcut,
    },
}


@pytest.mark.parametrize("family", MUTANTS)
def test_a_mistake_anywhere_exceeds_the_tolerance_tenfold(family, tmp_path):
    reference = reference_of(family, 32)
    tolerance = tolerance_of(reference)
    model = converted(family, reference, tmp_path)
    for name, mutate in MUTANTS[family].items():
        logits = compare.logits(mutate(model), reference.pictures)
        error = compare.relative_error(logits, reference.logits)
        assert error > 10 * tolerance, f"{name} changes the logits by {error:.1e} only"


@pytest.mark.parametrize("family", ["option A", "stochastic depth", "pre-activation", "wide"])
def test_float64_agrees_to_eight_digits(family, tmp_path):
    reference = reference_of(family, 33)
    logits, features = reference.run(torch.float64)
    keras.config.set_dtype_policy("float64")
    try:
        model = converted(family, reference, tmp_path)
        found = compare.errors(model, reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found
