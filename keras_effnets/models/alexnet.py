"""AlexNet, in torchvision's version and as it won in 2012.

ImageNet Classification with Deep Convolutional Neural Networks, Krizhevsky et al., NIPS 2012: the
layers of its section 3.5, in groups where they were divided between two graphics cards. One weird
trick for parallelizing convolutional neural networks, Krizhevsky, 2014, arXiv 1404.5997: narrower
layers on one card; this is torchvision's network, without that paper's response normalisation.

Deviations: images of the 2012 network have 227 pixels, which its layer sizes require; the paper
states 224. Before the first dense layer the features are averaged to 6×6: this changes nothing at
the paper's size and admits other sizes. Kernels are initialised as in all networks here, and biases
with zeros. Without batch norms, the profiles do not differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvAct, LocalResponseNormalization, MaxPool
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import ModelConfig, Paper
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, biased, hidden_top


class AlexNetRow(NamedTuple):
    """One convolution; its ReLU may be followed by normalisation, then 3×3 pooling of stride 2."""

    name: str
    filters: int
    kernel_size: int
    strides: int = 1
    padding: int = 1
    groups: int = 1
    """2 where the two cards of 2012 did not see each other's channels."""
    normalised: bool = False
    pooled: bool = False


PAPER = (
    AlexNetRow("conv1", 96, 11, strides=4, padding=0, normalised=True, pooled=True),
    AlexNetRow("conv2", 256, 5, padding=2, groups=2, normalised=True, pooled=True),
    AlexNetRow("conv3", 384, 3),
    AlexNetRow("conv4", 384, 3, groups=2),
    AlexNetRow("conv5", 256, 3, groups=2, pooled=True),
)
TORCHVISION = (
    AlexNetRow("conv1", 64, 11, strides=4, padding=2, normalised=True, pooled=True),
    AlexNetRow("conv2", 192, 5, padding=2, groups=2, normalised=True, pooled=True),
    AlexNetRow("conv3", 384, 3),
    AlexNetRow("conv4", 256, 3, groups=2),
    AlexNetRow("conv5", 256, 3, groups=2, pooled=True),
)
TOP_SIDE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class AlexNetConfig(ModelConfig):
    """An AlexNet for ImageNet.

    Raises:
        ValueError: `groups` is neither 1 nor 2.
    """

    family: ClassVar[str] = "AlexNet"
    paper: ClassVar[Paper] = Paper(
        "One weird trick for parallelizing convolutional neural networks",
        "Krizhevsky",
        2014,
        "https://arxiv.org/abs/1404.5997",
    )
    min_side: ClassVar[int] = 63
    head: ClassVar[tuple[str, ...]] = ("fc6", "fc7", "classifier")
    fixed_by_weights: ClassVar[tuple[str, ...]] = ("lrn",)

    side: int = 224
    dropout: float = 0.5
    rows: tuple[AlexNetRow, ...] = TORCHVISION
    hidden: int = 4096
    """Units of each of the two dense layers before the classifier."""
    groups: int = 1
    """Groups of the convolutions that were divided in 2012."""
    lrn: bool = False
    """Whether there is local response normalisation."""
    dropout_first: bool = True
    """Whether dropout comes before each hidden layer; otherwise it comes after."""

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if self.groups not in (1, 2):
            raise ValueError(f"groups={self.groups!r} is not 1 or 2")

    @property
    def dropouts(self) -> tuple[float, float, float]:
        """Dropout rates before the hidden layers and the classifier."""
        if self.dropout_first:
            return (self.dropout, self.dropout, 0.0)
        return (0.0, self.dropout, self.dropout)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlexNet2012Config(AlexNetConfig):
    """The network of the 2012 paper."""

    paper: ClassVar[Paper] = Paper(
        "ImageNet Classification with Deep Convolutional Neural Networks",
        "Krizhevsky et al.",
        2012,
        "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-"
        "networks",
    )
    min_side: ClassVar[int] = 67

    side: int = 227
    rows: tuple[AlexNetRow, ...] = PAPER
    groups: int = 2
    lrn: bool = True
    dropout_first: bool = False


VARIANTS = (AlexNetConfig(name="alexnet"), AlexNet2012Config(name="alexnet_2012"))


def plan(config: AlexNetConfig) -> Iterator[AlexNetRow]:
    """Yields every convolution of the network, in order."""
    for row in config.rows:
        yield row._replace(
            groups=min(row.groups, config.groups), normalised=config.lrn and row.normalised
        )


def build(config: AlexNetConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    for row in plan(config):
        x = ConvAct(
            row.filters,
            row.kernel_size,
            strides=row.strides,
            padding=row.padding,
            groups=row.groups,
            name=row.name,
        )(x)
        number = row.name.removeprefix("conv")
        if row.normalised:
            x = LocalResponseNormalization(name=f"norm{number}")(x)
        if row.pooled:
            x = MaxPool(3, strides=2, name=f"pool{number}")(x)
    return interface.finish_hidden(
        pixels,
        x,
        name=config.name,
        side=TOP_SIDE,
        hidden=config.hidden,
        dropout=config.dropouts,
    )


def _alexnet(
    config: AlexNetConfig,
    *,
    dropout: float = 0.5,
    groups: int | None = None,
    lrn: bool | None = None,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds an AlexNet: pixels in, class probabilities out.

    Args:
        dropout: Dropout rate of the hidden layers, in [0, 1).
        groups: Groups of the second, fourth and fifth convolution, 1 or 2; None for the
            variant's.
        lrn: Whether local response normalisation follows the first two convolutions; None for the
            variant's.
    """
    variant = config
    config = with_options(config, dropout=dropout, groups=groups, lrn=lrn)
    if (config.groups, config.lrn) != (variant.groups, variant.lrn):
        config = replace(config, name=f"{config.name}_custom")
    return create(build, config, common)


AlexNet = builder("AlexNet", _alexnet, VARIANTS[0])
AlexNet2012 = builder("AlexNet2012", _alexnet, VARIANTS[1])


def _torchvision(config: AlexNetConfig) -> Iterator[Rule]:
    """`features.{n}`; the normalisations of the 2012 network count as modules too."""
    number = 0
    for row in plan(config):
        yield from biased(f"features.{number}", f"{row.name}/conv", "conv")
        number += 2 + row.normalised + row.pooled
    yield from hidden_top(TOP_SIDE, 1, 4, 6)


AlexNetConfig.spellings = {"torchvision": Source("torch", _torchvision)}
AlexNet2012Config.spellings = {
    "torchvision": Source("torch", _torchvision, architecture=lambda config: None)
}
