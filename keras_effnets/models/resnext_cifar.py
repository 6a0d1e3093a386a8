"""ResNeXt-29 for CIFAR.

Aggregated Residual Transformations for Deep Neural Networks, Xie et al., 2016, arXiv 1611.05431,
section 5.3 and Table 7: a 3×3 stem of 64 channels and three stages of three bottlenecks in groups,
with 256, 512 and 1024 output channels. The 3×3 convolutions have the stride, and
cardinality · base_width channels in the first stage, twice as many in the second and four times as
many in the third.

Pixels are normalised by the mean and std of each colour, as in the authors' code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Unpack

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.layers import Bottleneck, ConvNormAct
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
from keras_effnets.weights.names.rule import (
    Rule,
    Source,
    biased,
    conv_norm,
    convolutions,
    projection,
)

STEM_FILTERS = 64
STAGES = (  # the depth decides the repeats
    Stage(expansion=4, kernel_size=3, strides=1, filters=256, repeats=3),
    Stage(expansion=4, kernel_size=3, strides=2, filters=512, repeats=3),
    Stage(expansion=4, kernel_size=3, strides=2, filters=1024, repeats=3),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNeXtCIFARConfig(ModelConfig):
    """A ResNeXt for CIFAR.

    Raises:
        ValueError: The depth is not 9n + 2, or the cardinality or width is below 1.
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
        blocks_per_stage(self.depth, 9, 2)
        self.check_integers("cardinality", "base_width")

    def width(self, block: Block) -> int:
        """Returns the channels of a bottleneck's 3×3 convolution."""
        return self.cardinality * self.base_width * block.filters // STAGES[0].filters


VARIANTS = (ResNeXtCIFARConfig(name="resnext29_cifar", cardinality=8, base_width=64),)


def plan(config: ResNeXtCIFARConfig) -> Iterator[Block]:
    """Yields every block of the network, in order."""
    repeats = blocks_per_stage(config.depth, 9, 2)
    stages = [stage._replace(repeats=repeats) for stage in STAGES]
    return walk(
        stages, output_stride=config.output_stride, drop_path=config.drop_path, stem_stride=1
    )


def build(config: ResNeXtCIFARConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(STEM_FILTERS, **shared, name="stem")(x)
    for block in plan(config):
        x = Bottleneck(
            block.filters,
            width=config.width(block),
            groups=config.cardinality,
            strides=block.strides,
            **shared,
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
    """Builds a ResNeXt-29 for CIFAR: pixels in, class probabilities out.

    Args:
        cardinality: Groups of the 3×3 convolutions, 1 or more; the paper uses 8 and 16.
        base_width: Inner width of the first stage, per group, 1 or more.
    """
    variant = config
    config = with_options(config, cardinality=cardinality, base_width=base_width)
    if (cardinality, base_width) != (variant.cardinality, variant.base_width):
        config = with_options(config, name=f"{config.name}_{cardinality}x{base_width}d")
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
