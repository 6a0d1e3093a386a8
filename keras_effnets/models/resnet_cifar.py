"""ResNet 20 to 110 for CIFAR, and Stochastic Depth's ResNet-110.

Deep Residual Learning for Image Recognition, He et al., 2015, arXiv 1512.03385, section 4.2 and its
table: three stages of n basic blocks, 6n + 2 layers. Deep Networks with Stochastic Depth, Huang et
al., 2016, arXiv 1603.09382, section 4: the same 110 layers. While training, each block's branch is
kept for a whole mini-batch with probability p_l; at inference it is multiplied by p_l. Where the
shape changes, its shortcut averages 2×2 pixels and ResNet's takes every second pixel; both append
channels of zeros.

Deviations: pixels are normalised by the mean and std of each colour, where the papers subtract the
mean at each pixel. The convolutions have no bias; in Stochastic Depth's code they have one, even
though a batch norm follows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Unpack

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.layers import BasicBlock, ConvNormAct
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import (
    CIFAR,
    Block,
    ModelConfig,
    Paper,
    Stage,
    blocks_per_stage,
    is_number,
    walk,
)
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import (
    Rule,
    Source,
    biased,
    conv_norm,
    convolutions,
    projection,
)

STEM_FILTERS = 16
STAGES = (  # the depth decides the repeats
    Stage(expansion=1, kernel_size=3, strides=1, filters=16, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=32, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=64, repeats=1),
)
SHORTCUTS = {"A": "pad", "B": "projection"}
SCHEDULES = ("linear", "uniform")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetCIFARConfig(ModelConfig):
    """A residual network for CIFAR.

    Raises:
        ValueError: The depth is not 6n + 2, or the shortcut is unknown.
    """

    family: ClassVar[str] = "CIFAR ResNet"
    paper: ClassVar[Paper] = Paper(
        "Deep Residual Learning for Image Recognition",
        "He et al.",
        2015,
        "https://arxiv.org/abs/1512.03385",
    )
    min_side: ClassVar[int] = 1

    side: int = 32
    classes: int = 10
    dropout: float = 0.0
    preset: Preset | None = CIFAR
    depth: int
    shortcut: str = "A"
    """Where the shape changes: `"A"`, zeros for the new channels, or `"B"`, a projection."""
    skip: bool = True
    """Whether blocks have shortcuts."""

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        blocks_per_stage(self.depth, 6, 2)
        if self.shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut={self.shortcut!r} is not one of {', '.join(SHORTCUTS)}")

    @property
    def layer_shortcut(self) -> str:
        """The shortcut, as an argument of `BasicBlock`."""
        return SHORTCUTS[self.shortcut] if self.skip else "none"

    def dropping(self, share: float) -> float:
        """Returns the drop rate of the block that ends `share` of the network, in (0, 1]."""
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StochasticDepthConfig(ResNetCIFARConfig):
    """A residual network for CIFAR whose blocks are dropped while training.

    Raises:
        ValueError: The survival is outside (0, 1], or the schedule is unknown.
    """

    family: ClassVar[str] = "Stochastic Depth"
    paper: ClassVar[Paper] = Paper(
        "Deep Networks with Stochastic Depth",
        "Huang et al.",
        2016,
        "https://arxiv.org/abs/1603.09382",
    )
    fixed_by_weights: ClassVar[tuple[str, ...]] = ("survival", "schedule")

    survival: float = 0.5
    """The paper's p_L: the survival probability of the last block."""
    schedule: str = "linear"

    def __post_init__(self) -> None:
        ResNetCIFARConfig.__post_init__(self)
        if not (is_number(self.survival) and 0 < self.survival <= 1):
            raise ValueError(f"survival={self.survival!r} is not a number in (0, 1]")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r} is not one of {', '.join(SCHEDULES)}")

    @property
    def layer_shortcut(self) -> str:
        """The shortcut, as an argument of `BasicBlock`."""
        return "pool"

    def dropping(self, share: float) -> float:
        """Returns 1 - p_l, which grows with l / L or is the same everywhere."""
        return (1 - self.survival) * (share if self.schedule == "linear" else 1.0)


VARIANTS = tuple(
    ResNetCIFARConfig(name=f"resnet{depth}_cifar", depth=depth) for depth in (20, 32, 44, 56, 110)
)
STOCHASTIC_DEPTH = StochasticDepthConfig(name="stochastic_depth_resnet110", depth=110)


def plan(config: ResNetCIFARConfig) -> Iterator[Block]:
    """Yields every block of the network, in order."""
    repeats = blocks_per_stage(config.depth, 6, 2)
    stages = [stage._replace(repeats=repeats) for stage in STAGES]
    blocks = walk(stages, output_stride=config.output_stride, drop_path=0.0, stem_stride=1)
    for position, block in enumerate(blocks, start=1):
        yield replace(block, drop_path=config.dropping(position / (len(STAGES) * repeats)))


def build(config: ResNetCIFARConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(STEM_FILTERS, **shared, name="stem")(x)
    for block in plan(config):
        x = BasicBlock(
            block.filters,
            strides=block.strides,
            shortcut=config.layer_shortcut,
            drop_path=block.drop_path,
            drop_per="batch",
            **shared,
            name=block.name,
        )(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _resnet_cifar(
    config: ResNetCIFARConfig,
    *,
    shortcut: Literal["A", "B"] = "A",
    skip: bool = True,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a residual network for CIFAR: pixels in, class probabilities out.

    Args:
        shortcut: Where the shape changes: `"A"`, every second pixel and zeros for the new
            channels, as in the paper, or `"B"`, a 1×1 convolution and batch norm.
        skip: Whether blocks have shortcuts; False gives the paper's plain network.
    """
    config = with_options(config, shortcut=shortcut, skip=skip)
    if not skip:
        config = with_options(config, name=f"{config.name}_plain")
    elif shortcut != "A":
        config = with_options(config, name=f"{config.name}_{shortcut.lower()}")
    return create(build, config, common)


def _stochastic_depth(
    config: StochasticDepthConfig,
    *,
    survival: float = 0.5,
    schedule: Literal["linear", "uniform"] = "linear",
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a residual network for CIFAR with stochastic depth: pixels in, probabilities out.

    Args:
        survival: The paper's p_L, in (0, 1]: the probability that the last block is kept. It
            matters at inference too, where each branch is multiplied by its own p_l.
        schedule: `"linear"`, p_l = 1 - l / L · (1 - p_L) for l = 1 … L, or `"uniform"`, p_L for
            every block.
    """
    return create(build, with_options(config, survival=survival, schedule=schedule), common)


ResNet20CIFAR = builder("ResNet20CIFAR", _resnet_cifar, VARIANTS[0])
ResNet32CIFAR = builder("ResNet32CIFAR", _resnet_cifar, VARIANTS[1])
ResNet44CIFAR = builder("ResNet44CIFAR", _resnet_cifar, VARIANTS[2])
ResNet56CIFAR = builder("ResNet56CIFAR", _resnet_cifar, VARIANTS[3])
ResNet110CIFAR = builder("ResNet110CIFAR", _resnet_cifar, VARIANTS[4])
StochasticDepthResNet110 = builder("StochasticDepthResNet110", _stochastic_depth, STOCHASTIC_DEPTH)


def _torch(config: ResNetCIFARConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`."""
    yield from conv_norm("conv1", "bn1", "stem")
    for block in plan(config):
        source = f"layer{block.stage}.{block.index}"
        yield from convolutions(source, block.name, 2)
        if block.index == 0 and block.stage > 1 and config.layer_shortcut == "projection":
            yield from projection(source, block.name)
    yield from biased("fc", "classifier/dense", "dense")


ResNetCIFARConfig.spellings = {"torch": Source("torch", _torch)}
"""There are no agreed names for these networks' checkpoints: torchvision's names for ResNet."""
