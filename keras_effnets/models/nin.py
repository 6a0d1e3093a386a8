"""Network In Network, for ImageNet and for CIFAR.

Network In Network, Lin et al., 2013, arXiv 1312.4400: the network of its figure 2 with the authors'
published widths, for CIFAR-10 and, with a fourth block, for ImageNet. The very last 1×1 convolution
is the classifier: it makes one map per class, whose mean is the class's score.

Pooling rounds up, as in the authors' definitions. Deviation: CIFAR's images are normalised by mean
and standard deviation instead of by contrast and whitening.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import MaxPool, MlpConv
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import CIFAR, ModelConfig, Paper
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, biased


class NiNRow(NamedTuple):
    """One block; 3×3 pooling of stride 2 precedes all but the first."""

    widths: tuple[int, ...]
    kernel_size: int
    strides: int = 1
    padding: int | str = "symmetric"
    dropped: bool = False
    """Whether dropout comes between the pooling and the block."""


class NiNBlock(NamedTuple):
    """One block, with its name and options."""

    name: str
    row: NiNRow
    dropout: float


IMAGENET_ROWS = (
    NiNRow((96, 96, 96), 11, strides=4, padding=0),
    NiNRow((256, 256, 256), 5),
    NiNRow((384, 384, 384), 3),
    NiNRow((1024, 1024), 3, dropped=True),
)
CIFAR_ROWS = (
    NiNRow((192, 160, 96), 5),
    NiNRow((192, 192, 192), 5, dropped=True),
    NiNRow((192, 192), 3, dropped=True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NiNConfig(ModelConfig):
    """A Network In Network.

    Raises:
        ValueError: `widths` is not one sequence of positive integers per block.
    """

    family: ClassVar[str] = "Network In Network"
    paper: ClassVar[Paper] = Paper(
        "Network In Network", "Lin et al.", 2013, "https://arxiv.org/abs/1312.4400"
    )
    min_side: ClassVar[int] = 39

    side: int = 224
    dropout: float = 0.5
    rows: tuple[NiNRow, ...] = IMAGENET_ROWS
    widths: tuple[tuple[int, ...], ...] | None = None
    """Each block's convolutions' channels, without the classifier; None for those of the rows."""

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if self.widths is not None and not _are_widths(self.widths, len(self.rows)):
            raise ValueError(
                f"widths={self.widths!r} are not {len(self.rows)} sequences, one per block, of "
                "at least one integer each, all 1 or more"
            )


def _are_widths(widths: object, blocks: int) -> bool:
    return (
        isinstance(widths, Sequence)
        and len(widths) == blocks
        and all(isinstance(each, Sequence) and len(each) > 0 for each in widths)
        and all(isinstance(width, int) and width >= 1 for each in widths for width in each)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class NiNCIFARConfig(NiNConfig):
    """The network for images of 32 × 32 pixels."""

    min_side: ClassVar[int] = 4

    side: int = 32
    classes: int = 10
    rows: tuple[NiNRow, ...] = CIFAR_ROWS


VARIANTS = (
    NiNConfig(name="nin"),
    NiNCIFARConfig(name="nin_cifar", preset=CIFAR),
)


def plan(config: NiNConfig) -> Iterator[NiNBlock]:
    """Yields every block of the network, in order."""
    for index, row in enumerate(config.rows):
        if config.widths is not None:
            row = row._replace(widths=tuple(config.widths[index]))
        yield NiNBlock(f"mlpconv{index + 1}", row, config.dropout if row.dropped else 0.0)


def build(config: NiNConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    for number, (name, row, dropout) in enumerate(plan(config)):
        if number:
            x = MaxPool(3, strides=2, ceil_mode=True, name=f"pool{number}")(x)
        x = MlpConv(
            row.widths,
            row.kernel_size,
            strides=row.strides,
            padding=row.padding,
            dropout_rate=dropout,
            name=name,
        )(x)
    return interface.finish_maps(pixels, x, name=config.name, dropout=0.0)


def _nin(
    config: NiNConfig,
    *,
    widths: Sequence[Sequence[int]] | None = None,
    dropout: float = 0.5,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a Network In Network: pixels in, class probabilities out.

    Args:
        widths: Output channels of each convolution of each block, without the classifier; None
            for the variant's.
        dropout: Dropout rate between blocks, in [0, 1): before the last block for ImageNet,
            before all but the first for CIFAR.
    """
    config = with_options(config, widths=widths, dropout=dropout)
    if widths is not None:
        config = replace(config, name=f"{config.name}_custom")
    return create(build, config, common)


NiN = builder("NiN", _nin, VARIANTS[0])
NiNCIFAR = builder("NiNCIFAR", _nin, VARIANTS[1])


def _sequential(config: NiNConfig) -> Iterator[Rule]:
    """`features.{n}`, the classifier too; poolings and dropouts are counted."""
    number = 0
    for index, (name, row, _) in enumerate(plan(config)):
        number += (index > 0) + row.dropped
        for part in range(1, len(row.widths) + 1):
            yield from biased(f"features.{number}", f"{name}/conv{part}/conv", "conv")
            number += 2
    yield from biased(f"features.{number}", "classifier/conv", "conv")


NiNConfig.spellings = {"sequential": Source("torch", _sequential)}
