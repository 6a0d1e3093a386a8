"""ResNeXt-29 for CIFAR.

Aggregated Residual Transformations for Deep Neural Networks, Xie et al., 2016, arXiv 1611.05431,
section 5.3 and Table 7: a 3×3 stem of 64 channels, three stages of three bottlenecks in groups,
which put out 256, 512 and 1024 channels. Their 3×3 convolutions have cardinality · base_width
channels in the first stage, twice and four times as many in the others, and the stride.

Pixels are normalised as in the authors' code: by the mean and std of each colour.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Unpack

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.layers import Bottleneck, ConvNormAct
from keras_effnets.models.builder import CommonOptions, builder, create, knobs
from keras_effnets.plan.config import CIFAR, Block, ModelConfig, Paper, Stage, walk
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import (
    Rule,
    Source,
    biased,
    conv_norm,
    convolutions,
    projection,
)

STEM_FILTERS = 64
STAGES = (  # how often each repeats follows from the depth
    Stage(expansion=4, kernel_size=3, strides=1, filters=256, repeats=3),
    Stage(expansion=4, kernel_size=3, strides=2, filters=512, repeats=3),
    Stage(expansion=4, kernel_size=3, strides=2, filters=1024, repeats=3),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNeXtCIFARConfig(ModelConfig):
    """A ResNeXt for CIFAR.

    Raises:
        ValueError: For a depth that is not 9n + 2, or a cardinality or a width below 1.
    """

    family: ClassVar[str] = "ResNeXt for CIFAR"
    paper: ClassVar[Paper] = Paper(
        "Aggregated Residual Transformations for Deep Neural Networks",
        "Xie et al.",
        2016,
        "https://arxiv.org/abs/1611.05431",
    )
    min_side: ClassVar[int] = 1

    side: int = 32
    classes: int = 10
    dropout: float = 0.0
    preset: Preset | None = CIFAR
    depth: int = 29
    cardinality: int
    base_width: int

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if not isinstance(self.depth, int) or self.depth < 11 or (self.depth - 2) % 9:
            raise ValueError(f"depth={self.depth!r} is not of the form 9n+2 with n of 1 or more")
        for knob in ("cardinality", "base_width"):
            value = getattr(self, knob)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{knob}={value!r} is not an integer of 1 or more")

    def width(self, block: Block) -> int:
        """Channels of a bottleneck's 3×3 convolution."""
        return self.cardinality * self.base_width * block.filters // STAGES[0].filters


VARIANTS = (ResNeXtCIFARConfig(name="resnext29_cifar", cardinality=8, base_width=64),)


def plan(config: ResNeXtCIFARConfig) -> Iterator[Block]:
    """Every block of the network, in order."""
    stages = [stage._replace(repeats=(config.depth - 2) // 9) for stage in STAGES]
    return walk(
        stages, output_stride=config.output_stride, drop_path=config.drop_path, stem_stride=1
    )


def build(config: ResNeXtCIFARConfig, interface: Interface) -> keras.Model:
    """The network with random weights: a pure function of its arguments."""
    unit = config.habits.unit
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(STEM_FILTERS, **unit, name="stem")(x)
    for block in plan(config):
        x = Bottleneck(
            block.filters,
            width=config.width(block),
            groups=config.cardinality,
            strides=block.strides,
            **unit,
            name=block.name,
        )(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _resnext_cifar(
    config: ResNeXtCIFARConfig,
    *,
    cardinality: int = 8,
    base_width: int = 64,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """A ResNeXt-29 for CIFAR, pixels in and class probabilities out.

    Args:
        cardinality: Groups of the 3×3 convolutions, 1 or more; the paper has 8 and 16.
        base_width: Inner width of the first stage, a group, 1 or more.
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    variant = config
    config = knobs(config, cardinality=cardinality, base_width=base_width)
    if (cardinality, base_width) != (variant.cardinality, variant.base_width):
        config = knobs(config, name=f"{config.name}_{cardinality}x{base_width}d")
    return create(build, config, common)


ResNeXt29CIFAR = builder("ResNeXt29CIFAR", _resnext_cifar, VARIANTS[0])


def _torch(config: ResNeXtCIFARConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`."""
    yield from conv_norm("conv1", "bn1", "stem")
    for block in plan(config):
        source = f"layer{block.stage}.{block.index}"
        yield from convolutions(source, block.name, 3)
        if block.index == 0:
            yield from projection(source, block.name)
    yield from biased("fc", "classifier/dense", "dense")


ResNeXtCIFARConfig.spellings = {"torch": Source("torch", _torch)}
