"""AlexNet, as torchvision has it and as it won in 2012.

ImageNet Classification with Deep Convolutional Neural Networks, Krizhevsky et al., NIPS 2012: the
layers of its section 3.5, each in groups where it was divided between two graphics cards. One weird
trick for parallelizing convolutional neural networks, Krizhevsky, 2014, arXiv 1404.5997: narrower,
on one card; torchvision's network, which leaves out that paper's response normalisation.

Deviations: pictures of 2012 have 227 pixels, which the paper's sides need, and not the 224 that it
states. Before the first dense layer the features are averaged to 6×6, which changes nothing at the
paper's side and lets others in. Kernels start as in all networks here, and biases at zero. The
profiles do not differ but in the batch norm, of which there is none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvAct, LocalResponseNormalization, MaxPool
from keras_effnets.models.builder import CommonOptions, builder, create, knobs
from keras_effnets.plan.config import ModelConfig, Paper
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, biased, hidden_top


class Row(NamedTuple):
    """One convolution, and what follows its ReLU: normalisation, then 3×3 pooling by 2."""

    name: str
    filters: int
    kernel_size: int
    strides: int = 1
    padding: int = 1
    divided: bool = False
    """Whether the two cards of 2012 did not see each other's channels."""
    normalised: bool = False
    pooled: bool = False


class Layer(NamedTuple):
    """A row, settled."""

    row: Row
    groups: int
    normalised: bool


PAPER = (
    Row("conv1", 96, 11, strides=4, padding=0, normalised=True, pooled=True),
    Row("conv2", 256, 5, padding=2, divided=True, normalised=True, pooled=True),
    Row("conv3", 384, 3),
    Row("conv4", 384, 3, divided=True),
    Row("conv5", 256, 3, divided=True, pooled=True),
)
TORCHVISION = (
    Row("conv1", 64, 11, strides=4, padding=2, normalised=True, pooled=True),
    Row("conv2", 192, 5, padding=2, divided=True, normalised=True, pooled=True),
    Row("conv3", 384, 3),
    Row("conv4", 256, 3, divided=True),
    Row("conv5", 256, 3, divided=True, pooled=True),
)
TOP_SIDE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class AlexNetConfig(ModelConfig):
    """An AlexNet for ImageNet.

    Raises:
        ValueError: For groups other than 1 or 2.
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
    settled: ClassVar[tuple[str, ...]] = ("lrn",)

    side: int = 224
    dropout: float = 0.5
    rows: tuple[Row, ...] = TORCHVISION
    hidden: int = 4096
    """Units of each of the two dense layers before the classifier."""
    groups: int = 1
    """Of the convolutions that were divided in 2012."""
    lrn: bool = False
    dropout_first: bool = True
    """Whether dropout comes before each hidden layer, and not after it."""

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if self.groups not in (1, 2):
            raise ValueError(f"groups={self.groups!r} is not 1 or 2")

    @property
    def dropouts(self) -> tuple[float, float, float]:
        """Before the hidden layers and the classifier."""
        if self.dropout_first:
            return (self.dropout, self.dropout, 0.0)
        return (0.0, self.dropout, self.dropout)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlexNet2012Config(AlexNetConfig):
    """The network of the paper of 2012."""

    paper: ClassVar[Paper] = Paper(
        "ImageNet Classification with Deep Convolutional Neural Networks",
        "Krizhevsky et al.",
        2012,
        "https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-"
        "networks",
    )
    min_side: ClassVar[int] = 67

    side: int = 227
    rows: tuple[Row, ...] = PAPER
    groups: int = 2
    lrn: bool = True
    dropout_first: bool = False


VARIANTS = (AlexNetConfig(name="alexnet"), AlexNet2012Config(name="alexnet_2012"))


def plan(config: AlexNetConfig) -> Iterator[Layer]:
    """Every convolution of the network, in order."""
    for row in config.rows:
        yield Layer(row, config.groups if row.divided else 1, config.lrn and row.normalised)


def build(config: AlexNetConfig, interface: Interface) -> keras.Model:
    """The network with random weights: a pure function of its arguments."""
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    for row, groups, normalised in plan(config):
        x = ConvAct(
            row.filters,
            row.kernel_size,
            strides=row.strides,
            padding=row.padding,
            groups=groups,
            name=row.name,
        )(x)
        number = row.name.removeprefix("conv")
        if normalised:
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
    """An AlexNet, pixels in and class probabilities out.

    Args:
        dropout: Of the hidden layers, in [0, 1).
        groups: 1 or 2: into how many the second, fourth and fifth convolution are divided; None
            takes the variant's.
        lrn: Whether local response normalisation follows the first two; None takes the variant's.
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    variant = config
    config = knobs(config, dropout=dropout, groups=groups, lrn=lrn)
    if (config.groups, config.lrn) != (variant.groups, variant.lrn):
        config = replace(config, name=f"{config.name}_custom")
    return create(build, config, common)


AlexNet = builder("AlexNet", _alexnet, VARIANTS[0])
AlexNet2012 = builder("AlexNet2012", _alexnet, VARIANTS[1])


def torchvision(config: AlexNetConfig) -> Iterator[Rule]:
    """The network of 2012 has the same names, its normalisations counted as modules too."""
    number = 0
    for row, _, normalised in plan(config):
        yield from biased(f"features.{number}", f"{row.name}/conv", "conv")
        number += 2 + normalised + row.pooled
    yield from hidden_top(TOP_SIDE, 1, 4, 6)


AlexNetConfig.spellings = {"torchvision": Source("torch", torchvision)}
AlexNet2012Config.spellings = {
    "torchvision": Source("torch", torchvision, architecture=lambda config: None)
}
