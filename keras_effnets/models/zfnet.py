"""ZFNet, the winner of 2013.

Visualizing and Understanding Convolutional Networks, Zeiler and Fergus, 2013, arXiv 1311.2901: the
layers of its figure 3, and the wider ones of model (b) in its table 2.

Deviations: the paper gives layer sizes and no padding; one pixel of padding, and pooling that
rounds up, give all of its sizes. It states no constants for its contrast normalisation: here they
are AlexNet's. Before the first dense layer the features are averaged to 6×6: this changes nothing
at the paper's size and admits other sizes. The norm of filters is not limited while training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvAct, LocalResponseNormalization, MaxPool
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import ModelConfig, Paper
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, biased, hidden_top


class ZFNetRow(NamedTuple):
    """One convolution; its ReLU may be followed by 3×3 pooling of stride 2, then normalisation."""

    name: str
    filters: int
    kernel_size: int
    strides: int = 1
    padding: int = 1
    pooled: bool = False
    normalised: bool = False


def _rows(conv3: int, conv4: int, conv5: int) -> tuple[ZFNetRow, ...]:
    return (
        ZFNetRow("conv1", 96, 7, strides=2, pooled=True, normalised=True),
        ZFNetRow("conv2", 256, 5, strides=2, padding=0, pooled=True, normalised=True),
        ZFNetRow("conv3", conv3, 3),
        ZFNetRow("conv4", conv4, 3),
        ZFNetRow("conv5", conv5, 3, pooled=True),
    )


TOP_SIDE = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ZFNetConfig(ModelConfig):
    """A ZFNet for ImageNet."""

    family: ClassVar[str] = "ZFNet"
    paper: ClassVar[Paper] = Paper(
        "Visualizing and Understanding Convolutional Networks",
        "Zeiler and Fergus",
        2013,
        "https://arxiv.org/abs/1311.2901",
    )
    min_side: ClassVar[int] = 63
    head: ClassVar[tuple[str, ...]] = ("fc6", "fc7", "classifier")

    side: int = 224
    dropout: float = 0.5
    rows: tuple[ZFNetRow, ...]
    hidden: int = 4096
    """Units of each of the two dense layers before the classifier."""


VARIANTS = (
    ZFNetConfig(name="zfnet", rows=_rows(384, 384, 256)),
    ZFNetConfig(name="zfnet_512", rows=_rows(512, 1024, 512)),
)


def build(config: ZFNetConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    for row in config.rows:
        x = ConvAct(
            row.filters,
            row.kernel_size,
            strides=row.strides,
            padding=row.padding,
            name=row.name,
        )(x)
        number = row.name.removeprefix("conv")
        if row.pooled:
            # In the paper only the first two pool an even size; the last one's is odd.
            x = MaxPool(3, strides=2, ceil_mode=row.normalised, name=f"pool{number}")(x)
        if row.normalised:
            x = LocalResponseNormalization(name=f"norm{number}")(x)
    return interface.finish_hidden(
        pixels,
        x,
        name=config.name,
        side=TOP_SIDE,
        hidden=config.hidden,
        dropout=(0.0, config.dropout, config.dropout),
    )


def _zfnet(
    config: ZFNetConfig, *, dropout: float = 0.5, **common: Unpack[CommonOptions]
) -> keras.Model:
    """Builds a ZFNet: pixels in, class probabilities out.

    Args:
        dropout: Dropout rate after each hidden dense layer, in [0, 1).
    """
    return create(build, with_options(config, dropout=dropout), common)


ZFNet = builder("ZFNet", _zfnet, VARIANTS[0])
ZFNet512 = builder("ZFNet512", _zfnet, VARIANTS[1])


def _sequential(config: ZFNetConfig) -> Iterator[Rule]:
    number = 0
    for row in config.rows:
        yield from biased(f"features.{number}", f"{row.name}/conv", "conv")
        number += 2 + row.pooled + row.normalised
    yield from hidden_top(TOP_SIDE, 0, 3, 6)


ZFNetConfig.spellings = {"sequential": Source("torch", _sequential)}
