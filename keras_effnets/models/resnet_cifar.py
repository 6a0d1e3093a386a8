"""ResNet 20 to 110 for CIFAR, and Stochastic Depth's ResNet-110.

Deep Residual Learning for Image Recognition, He et al., 2015, arXiv 1512.03385, section 4.2 and its
table: three stages of n basic blocks, 6n + 2 layers. Deep Networks with Stochastic Depth, Huang et
al., 2016, arXiv 1603.09382, section 4: the same 110 layers, each block's branch kept for a whole
mini-batch with probability p_l while training, and multiplied by it afterwards. Its shortcut takes
2×2 means where the other takes every second pixel; both append channels of zeros.

Deviations: pixels are normalised by the mean and std of each colour, where the papers subtract the
mean at each pixel; the convolutions have no bias, which Stochastic Depth's code has though a batch
norm follows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Unpack

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.layers import BasicBlock, ConvNormAct
from keras_effnets.models.builder import CommonOptions, builder, create, knobs
from keras_effnets.plan.config import CIFAR, Block, ModelConfig, Paper, Stage, is_number, walk
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
STAGES = (  # how often each repeats follows from the depth
    Stage(expansion=1, kernel_size=3, strides=1, filters=16, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=32, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=64, repeats=1),
)
SHORTCUTS = {"A": "pad", "B": "projection"}
SCHEDULES = ("linear", "uniform")


@dataclass(frozen=True, slots=True, kw_only=True)
class CIFARResNetConfig(ModelConfig):
    """A residual network for CIFAR.

    Raises:
        ValueError: For a depth that is not 6n + 2, or an unknown shortcut.
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

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if not isinstance(self.depth, int) or self.depth < 8 or (self.depth - 2) % 6:
            raise ValueError(f"depth={self.depth!r} is not of the form 6n+2 with n of 1 or more")
        if self.shortcut not in SHORTCUTS:
            raise ValueError(f"shortcut={self.shortcut!r} is not one of {', '.join(SHORTCUTS)}")

    @property
    def layer_shortcut(self) -> str:
        """As `BasicBlock` calls it."""
        return SHORTCUTS[self.shortcut] if self.skip else "none"

    def dropping(self, share: float) -> float:
        """The rate of dropping a block that `share` of the network, this block too, leads up to."""
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StochasticDepthConfig(CIFARResNetConfig):
    """A residual network for CIFAR whose blocks are dropped while training.

    Raises:
        ValueError: For a survival outside (0, 1], or an unknown schedule.
    """

    family: ClassVar[str] = "Stochastic Depth"
    paper: ClassVar[Paper] = Paper(
        "Deep Networks with Stochastic Depth",
        "Huang et al.",
        2016,
        "https://arxiv.org/abs/1603.09382",
    )
    settled: ClassVar[tuple[str, ...]] = ("survival", "schedule")

    survival: float = 0.5
    """The paper's p_L: of the last block."""
    schedule: str = "linear"

    def __post_init__(self) -> None:
        CIFARResNetConfig.__post_init__(self)
        if not (is_number(self.survival) and 0 < self.survival <= 1):
            raise ValueError(f"survival={self.survival!r} is not a number in (0, 1]")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule={self.schedule!r} is not one of {', '.join(SCHEDULES)}")

    @property
    def layer_shortcut(self) -> str:
        """As `BasicBlock` calls it."""
        return "pool"

    def dropping(self, share: float) -> float:
        """1 - p_l: growing with l / L, or the same everywhere."""
        return (1 - self.survival) * (share if self.schedule == "linear" else 1.0)


VARIANTS = tuple(
    CIFARResNetConfig(name=f"resnet{depth}_cifar", depth=depth) for depth in (20, 32, 44, 56, 110)
)
STOCHASTIC_DEPTH = StochasticDepthConfig(name="stochastic_depth_resnet110", depth=110)


def plan(config: CIFARResNetConfig) -> Iterator[Block]:
    """Every block of the network, in order."""
    repeats = (config.depth - 2) // 6
    stages = [stage._replace(repeats=repeats) for stage in STAGES]
    blocks = walk(stages, output_stride=config.output_stride, drop_path=0.0, stem_stride=1)
    for position, block in enumerate(blocks, start=1):
        yield replace(block, drop_path=config.dropping(position / (len(STAGES) * repeats)))


def build(config: CIFARResNetConfig, interface: Interface) -> keras.Model:
    """The network with random weights: a pure function of its arguments."""
    unit = config.habits.unit
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(STEM_FILTERS, **unit, name="stem")(x)
    for block in plan(config):
        x = BasicBlock(
            block.filters,
            strides=block.strides,
            shortcut=config.layer_shortcut,
            drop_path=block.drop_path,
            drop_per="batch",
            **unit,
            name=block.name,
        )(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _cifar_resnet(
    config: CIFARResNetConfig,
    *,
    shortcut: Literal["A", "B"] = "A",
    skip: bool = True,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """A residual network for CIFAR, pixels in and class probabilities out.

    Args:
        shortcut: Where the shape changes: `"A"`, every second pixel and zeros for the new
            channels, as in the paper, or `"B"`, a 1×1 convolution and batch norm.
        skip: Whether blocks have shortcuts; without them the network is the paper's plain one.
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    config = knobs(config, shortcut=shortcut, skip=skip)
    if not skip:
        config = knobs(config, name=f"{config.name}_plain")
    elif shortcut != "A":
        config = knobs(config, name=f"{config.name}_{shortcut.lower()}")
    return create(build, config, common)


def _stochastic_depth(
    config: StochasticDepthConfig,
    *,
    survival: float = 0.5,
    schedule: Literal["linear", "uniform"] = "linear",
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """A residual network for CIFAR with stochastic depth, pixels in and probabilities out.

    Args:
        survival: The paper's p_L, in (0, 1]: how likely the last block is kept. It counts at
            inference too, where each branch is multiplied by its own p_l.
        schedule: `"linear"`, p_l = 1 - l / L · (1 - p_L) for l = 1 … L, or `"uniform"`, p_L for
            every block.
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    return create(build, knobs(config, survival=survival, schedule=schedule), common)


ResNet20CIFAR = builder("ResNet20CIFAR", _cifar_resnet, VARIANTS[0])
ResNet32CIFAR = builder("ResNet32CIFAR", _cifar_resnet, VARIANTS[1])
ResNet44CIFAR = builder("ResNet44CIFAR", _cifar_resnet, VARIANTS[2])
ResNet56CIFAR = builder("ResNet56CIFAR", _cifar_resnet, VARIANTS[3])
ResNet110CIFAR = builder("ResNet110CIFAR", _cifar_resnet, VARIANTS[4])
StochasticDepthResNet110 = builder("StochasticDepthResNet110", _stochastic_depth, STOCHASTIC_DEPTH)


def _torch(config: CIFARResNetConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`."""
    yield from conv_norm("conv1", "bn1", "stem")
    for block in plan(config):
        source = f"layer{block.stage}.{block.index}"
        yield from convolutions(source, block.name, 2)
        if block.index == 0 and block.stage > 1 and config.layer_shortcut == "projection":
            yield from projection(source, block.name)
    yield from biased("fc", "classifier/dense", "dense")


CIFARResNetConfig.spellings = {"torch": Source("torch", _torch)}
"""Nobody publishes a checkpoint under one agreed spelling: torchvision's names for like parts."""
