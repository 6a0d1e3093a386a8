"""Pre-activation residual networks for CIFAR: ResNet-164 and 1001, and Wide ResNet.

Identity Mappings in Deep Residual Networks, He et al., 2016, arXiv 1603.05027, in the form of the
authors' code: bottlenecks that stride on their first 1×1. Wide Residual Networks, Zagoruyko and
Komodakis, 2016, arXiv 1605.07146, Table 1: two 3×3 convolutions, `widen` times as many channels,
dropout between them. In both the stem is a bare convolution, and where channels change the shortcut
is one too, of the activated input.

Pixels are normalised by the mean and std of each colour, as the code of Wide ResNet does for most
experiments; its Table 4 is on whitened pictures.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Unpack

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.layers import ConvAct, NormAct, PreActBlock, PreActBottleneck
from keras_effnets.models.builder import CommonOptions, builder, create, knobs
from keras_effnets.plan.config import CIFAR, Block, ModelConfig, Paper, Stage, walk
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, batch_norm, biased

STEM_FILTERS = 16
STAGES = (  # before widening; how often each repeats follows from the depth
    Stage(expansion=1, kernel_size=3, strides=1, filters=16, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=32, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=64, repeats=1),
)
BOTTLENECK = 4
"""Output channels of a bottleneck over those of its middle convolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreActCIFARConfig(ModelConfig):
    """A pre-activation network of bottlenecks for CIFAR.

    Raises:
        ValueError: For a depth that is not 9n + 2.
    """

    family: ClassVar[str] = "Pre-activation ResNet for CIFAR"
    paper: ClassVar[Paper] = Paper(
        "Identity Mappings in Deep Residual Networks",
        "He et al.",
        2016,
        "https://arxiv.org/abs/1603.05027",
    )
    min_side: ClassVar[int] = 1
    form: ClassVar[tuple[int, int]] = (9, 2)
    """Of the depth, which is the first times the blocks a stage, and the second."""

    side: int = 32
    classes: int = 10
    dropout: float = 0.0
    preset: Preset | None = CIFAR
    depth: int
    """Convolutions and dense layers, as the papers count."""

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        step, rest = self.form
        depth = self.depth
        if not isinstance(depth, int) or depth < step + rest or (depth - rest) % step:
            raise ValueError(
                f"depth={depth!r} is not of the form {step}n+{rest} with n of 1 or more"
            )

    @property
    def repeats(self) -> int:
        """Blocks a stage."""
        step, rest = self.form
        return (self.depth - rest) // step

    @property
    def expansion(self) -> int:
        """Output channels of a block over those of the table."""
        return BOTTLENECK


@dataclass(frozen=True, slots=True, kw_only=True)
class WideResNetCIFARConfig(PreActCIFARConfig):
    """A Wide ResNet for CIFAR.

    Raises:
        ValueError: For a depth that is not 6n + 4, or a width below 1.
    """

    family: ClassVar[str] = "Wide ResNet for CIFAR"
    paper: ClassVar[Paper] = Paper(
        "Wide Residual Networks",
        "Zagoruyko and Komodakis",
        2016,
        "https://arxiv.org/abs/1605.07146",
    )
    form: ClassVar[tuple[int, int]] = (6, 4)

    widen: int

    def __post_init__(self) -> None:
        PreActCIFARConfig.__post_init__(self)
        if not isinstance(self.widen, int) or self.widen < 1:
            raise ValueError(f"widen={self.widen!r} is not an integer of 1 or more")

    @property
    def expansion(self) -> int:
        """Output channels of a block over those of the table."""
        return self.widen


VARIANTS = (
    PreActCIFARConfig(name="preact_resnet164_cifar", depth=164),
    PreActCIFARConfig(name="preact_resnet1001_cifar", depth=1001),
    WideResNetCIFARConfig(name="wide_resnet_cifar", depth=28, widen=10),
)


def plan(config: PreActCIFARConfig) -> Iterator[Block]:
    """Every block of the network, in order."""
    stages = [
        stage._replace(filters=config.expansion * stage.filters, repeats=config.repeats)
        for stage in STAGES
    ]
    return walk(
        stages, output_stride=config.output_stride, drop_path=config.drop_path, stem_stride=1
    )


def build(config: PreActCIFARConfig, interface: Interface) -> keras.Model:
    """The network with random weights: a pure function of its arguments."""
    habits = config.habits
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvAct(STEM_FILTERS, activation=None, use_bias=False, padding=habits.padding, name="stem")(
        x
    )
    for block in plan(config):
        options = {"strides": block.strides, **habits.unit, "name": block.name}
        if isinstance(config, WideResNetCIFARConfig):
            x = PreActBlock(block.filters, dropout_rate=config.dropout, **options)(x)
        else:
            width = block.filters // BOTTLENECK
            x = PreActBottleneck(block.filters, width=width, stride_on="1x1", **options)(x)
    x = NormAct(epsilon=habits.epsilon, momentum=habits.momentum, name="top")(x)
    return interface.finish(pixels, x, name=config.name, dropout=0.0)


def _preact_cifar(config: PreActCIFARConfig, **common: Unpack[CommonOptions]) -> keras.Model:
    """A pre-activation network for CIFAR, pixels in and class probabilities out.

    Args:
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    return create(build, config, common)


def _wide_resnet_cifar(
    config: WideResNetCIFARConfig,
    *,
    depth: int = 28,
    widen: int = 10,
    dropout: float = 0.0,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """A Wide ResNet for CIFAR, pixels in and class probabilities out.

    Args:
        depth: Of the form 6n + 4: 10, 16, 22, 28, 34, 40 …
        widen: The paper's k, 1 or more: stages of 16k, 32k and 64k channels.
        dropout: Between the two convolutions of each block, in [0, 1); the paper takes 0.3 for
            CIFAR and 0.4 for SVHN.
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    variant = config
    config = knobs(config, depth=depth, widen=widen, dropout=dropout)
    if (depth, widen) != (variant.depth, variant.widen):
        config = knobs(config, name=f"{config.name}_{depth}_{widen}")
    return create(build, config, common)


PreActResNet164CIFAR = builder("PreActResNet164CIFAR", _preact_cifar, VARIANTS[0])
PreActResNet1001CIFAR = builder("PreActResNet1001CIFAR", _preact_cifar, VARIANTS[1])
WideResNetCIFAR = builder("WideResNetCIFAR", _wide_resnet_cifar, VARIANTS[2])


def _torch(config: PreActCIFARConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`, a `bn{n}` before each; `downsample` is a bare convolution."""
    parts = 2 if isinstance(config, WideResNetCIFARConfig) else 3
    yield Rule("conv1.weight", "stem/conv/kernel", "conv")
    for block in plan(config):
        source = f"layer{block.stage}.{block.index}"
        yield from batch_norm(f"{source}.bn1", f"{block.name}/preact/norm")
        for part in range(1, parts + 1):
            target = f"{block.name}/conv{part}"
            yield Rule(f"{source}.conv{part}.weight", f"{target}/conv/kernel", "conv")
            if part < parts:
                yield from batch_norm(f"{source}.bn{part + 1}", f"{target}/norm")
        if block.index == 0 and (block.stage > 1 or config.expansion > 1):
            yield Rule(f"{source}.downsample.weight", f"{block.name}/skip/conv/kernel", "conv")
    yield from batch_norm("bn", "top/norm")
    yield from biased("fc", "classifier/dense", "dense")


PreActCIFARConfig.spellings = {"torch": Source("torch", _torch)}
