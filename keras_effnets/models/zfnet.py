"""ZFNet, the winner of 2013.

Visualizing and Understanding Convolutional Networks, Zeiler and Fergus, 2013, arXiv 1311.2901: the
layers of its figure 3, and the wider ones of model (b) in its table 2.

Deviations: the paper gives sides and no padding; a pixel around the picture, and pools that round
up, reach all of its sides. It states no constants of its contrast normalisation: here they are
AlexNet's. Before the first dense layer the features are averaged to 6×6, which changes nothing at
the paper's side and lets others in. Filters are not held below a norm while training.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvAct, LocalResponseNormalization, MaxPool
from keras_effnets.models.builder import CommonOptions, builder, create, knobs
from keras_effnets.plan.config import ModelConfig, Paper
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, biased, hidden_top


class Row(NamedTuple):
    """One convolution, and what follows its ReLU: 3×3 pooling by 2, then normalisation."""

    name: str
    filters: int
    kernel_size: int
    strides: int = 1
    padding: int = 1
    pooled: bool = False
    normalised: bool = False


def _rows(conv3: int, conv4: int, conv5: int) -> tuple[Row, ...]:
    return (
        Row("conv1", 96, 7, strides=2, pooled=True, normalised=True),
        Row("conv2", 256, 5, strides=2, padding=0, pooled=True, normalised=True),
        Row("conv3", conv3, 3),
        Row("conv4", conv4, 3),
        Row("conv5", conv5, 3, pooled=True),
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
    rows: tuple[Row, ...]
    hidden: int = 4096
    """Units of each of the two dense layers before the classifier."""


VARIANTS = (
    ZFNetConfig(name="zfnet", rows=_rows(384, 384, 256)),
    ZFNetConfig(name="zfnet_512", rows=_rows(512, 1024, 512)),
)


def build(config: ZFNetConfig, interface: Interface) -> keras.Model:
    """The network with random weights: a pure function of its arguments."""
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
            # Only the first two meet an even side in the paper; the last one's is odd.
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
    """A ZFNet, pixels in and class probabilities out.

    Args:
        dropout: After each hidden dense layer, in [0, 1).
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    return create(build, knobs(config, dropout=dropout), common)


ZFNet = builder("ZFNet", _zfnet, VARIANTS[0])
ZFNet512 = builder("ZFNet512", _zfnet, VARIANTS[1])


def _sequential(config: ZFNetConfig) -> Iterator[Rule]:
    number = 0
    for row in config.rows:
        yield from biased(f"features.{number}", f"{row.name}/conv", "conv")
        number += 2 + row.pooled + row.normalised
    yield from hidden_top(TOP_SIDE, 0, 3, 6)


ZFNetConfig.spellings = {"sequential": Source("torch", _sequential)}
