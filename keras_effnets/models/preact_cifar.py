"""Pre-activation residual networks for CIFAR: ResNet-164 and 1001, and Wide ResNet.

Identity Mappings in Deep Residual Networks, He et al., 2016, arXiv 1603.05027, in the form of the
authors' code: bottlenecks with the stride on their first 1×1. Wide Residual Networks, Zagoruyko and
Komodakis, 2016, arXiv 1605.07146, Table 1: two 3×3 convolutions of `widen` times as many channels,
with dropout between them. In both networks the stem is a bare convolution; so is the shortcut where
the channels change, and its input is the activated one.

Pixels are normalised by the mean and std of each colour, as in Wide ResNet's code for most
experiments; the paper's Table 4 is for whitened images.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Unpack

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.layers import ConvAct, NormAct, PreActBlock, PreActBottleneck
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import (
    CIFAR,
    Block,
    ModelConfig,
    Paper,
    Stage,
    blocks_per_stage,
    walk,
)
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, batch_norm, biased

STEM_FILTERS = 16
STAGES = (  # before widening; the depth decides the repeats
    Stage(expansion=1, kernel_size=3, strides=1, filters=16, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=32, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=64, repeats=1),
)
BOTTLENECK = 4
"""A bottleneck's output channels over those of its middle convolution."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreActCIFARConfig(ModelConfig):
    """A pre-activation network of bottlenecks for CIFAR.

    Raises:
        ValueError: The depth is not 9n + 2.
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
    """The depth is the first number times the blocks per stage, plus the second."""

    side: int = 32
    classes: int = 10
    dropout: float = 0.0
    preset: Preset | None = CIFAR
    depth: int
    """Convolutions and dense layers, counted as in the papers."""

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        blocks_per_stage(self.depth, *self.form)

    @property
    def repeats(self) -> int:
        """Blocks per stage."""
        return blocks_per_stage(self.depth, *self.form)

    @property
    def expansion(self) -> int:
        """A block's output channels over those of its stage in the table."""
        return BOTTLENECK


@dataclass(frozen=True, slots=True, kw_only=True)
class WideResNetCIFARConfig(PreActCIFARConfig):
    """A Wide ResNet for CIFAR.

    Raises:
        ValueError: The depth is not 6n + 4, or `widen` is below 1.
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
        self.check_integers("widen")

    @property
    def expansion(self) -> int:
        """A block's output channels over those of its stage in the table."""
        return self.widen


VARIANTS = (
    PreActCIFARConfig(name="preact_resnet164_cifar", depth=164),
    PreActCIFARConfig(name="preact_resnet1001_cifar", depth=1001),
    WideResNetCIFARConfig(name="wide_resnet_cifar", depth=28, widen=10),
)


def plan(config: PreActCIFARConfig) -> Iterator[Block]:
    """Yields every block of the network, in order."""
    stages = [
        stage._replace(filters=config.expansion * stage.filters, repeats=config.repeats)
        for stage in STAGES
    ]
    return walk(
        stages, output_stride=config.output_stride, drop_path=config.drop_path, stem_stride=1
    )


def build(config: PreActCIFARConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    conventions = config.conventions
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvAct(
        STEM_FILTERS, activation=None, use_bias=False, padding=conventions.padding, name="stem"
    )(x)
    for block in plan(config):
        options = {"strides": block.strides, **conventions.layer_options, "name": block.name}
        if isinstance(config, WideResNetCIFARConfig):
            x = PreActBlock(block.filters, dropout_rate=config.dropout, **options)(x)
        else:
            width = block.filters // BOTTLENECK
            x = PreActBottleneck(block.filters, width=width, stride_on="1x1", **options)(x)
    x = NormAct(**conventions.norm_options, name="top")(x)
    return interface.finish(pixels, x, name=config.name, dropout=0.0)


def _preact_cifar(config: PreActCIFARConfig, **common: Unpack[CommonOptions]) -> keras.Model:
    """Builds a pre-activation network for CIFAR: pixels in, class probabilities out."""
    return create(build, config, common)


def _wide_resnet_cifar(
    config: WideResNetCIFARConfig,
    *,
    depth: int = 28,
    widen: int = 10,
    dropout: float = 0.0,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a Wide ResNet for CIFAR: pixels in, class probabilities out.

    Args:
        depth: Number of layers, of the form 6n + 4: 10, 16, 22, 28, 34, 40 …
        widen: Width multiplier, the paper's k, 1 or more: stages of 16k, 32k and 64k channels.
        dropout: Dropout rate between the two convolutions of each block, in [0, 1); the paper
            uses 0.3 for CIFAR and 0.4 for SVHN.
    """
    variant = config
    config = with_options(config, depth=depth, widen=widen, dropout=dropout)
    if (depth, widen) != (variant.depth, variant.widen):
        config = with_options(config, name=f"{config.name}_{depth}_{widen}")
    return create(build, config, common)


PreActResNet164CIFAR = builder("PreActResNet164CIFAR", _preact_cifar, VARIANTS[0])
PreActResNet1001CIFAR = builder("PreActResNet1001CIFAR", _preact_cifar, VARIANTS[1])
WideResNetCIFAR = builder("WideResNetCIFAR", _wide_resnet_cifar, VARIANTS[2])


def _torch(config: PreActCIFARConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`, `bn{n}` before it; `downsample` is a bare convolution."""
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
