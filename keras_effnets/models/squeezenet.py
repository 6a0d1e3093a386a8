"""SqueezeNet 1.0 and 1.1, and any other choice of its meta-parameters.

SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, Iandola et al.,
2016, arXiv 1602.07360: the network of its table 1, the meta-parameters of its section 5.1 and the
bypasses of its section 6. Version 1.1 is the authors' later release.

Pooling rounds up, as in Caffe. The last convolution has no padding, as in torchvision; the authors'
definition has one pixel. Without batch norms, the profiles do not differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvAct, FireModule, MaxPool
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import ModelConfig, Paper, is_number
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, biased

FIRES = range(2, 10)
"""Numbers of the Fire modules in the paper, where the first convolution is layer 1."""
BYPASSES = ("none", "simple", "complex")


class Stem(NamedTuple):
    """The first convolution, and the numbers of the layers that pooling follows."""

    filters: int
    kernel_size: int
    pools: tuple[int, ...]
    """Layers that 3x3 pooling of stride 2 follows, numbered as in `FIRES`."""


V1_0 = Stem(96, 7, (1, 4, 8))
V1_1 = Stem(64, 3, (1, 3, 5))


class Fire(NamedTuple):
    """One Fire module."""

    name: str
    squeeze: int
    expand1x1: int
    expand3x3: int
    bypass: str
    pool: str | None
    """Name of the pooling after it; None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeNetConfig(ModelConfig):
    """A SqueezeNet for ImageNet.

    Raises:
        ValueError: A meta-parameter is out of range, a convolution would have no channels, or the
            bypass is unknown.
    """

    family: ClassVar[str] = "SqueezeNet"
    paper: ClassVar[Paper] = Paper(
        "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
        "Iandola et al.",
        2016,
        "https://arxiv.org/abs/1602.07360",
    )
    min_side: ClassVar[int] = 21
    fixed_by_weights: ClassVar[tuple[str, ...]] = ("bypass",)

    side: int = 224
    dropout: float = 0.5
    stem: Stem = V1_0
    base_e: int = 128
    """Output channels of the first Fire modules."""
    incr_e: int = 128
    """Channels added to them every `freq` modules."""
    pct3x3: float = 0.5
    """Share of the output channels that come from 3x3 convolutions."""
    freq: int = 2
    squeeze_ratio: float = 0.125
    """Squeezed channels over output channels."""
    bypass: str = "none"

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        self.check_integers("base_e", "freq")
        self.check_integers("incr_e", least=0)
        if not (is_number(self.pct3x3) and 0.01 <= self.pct3x3 <= 0.99):
            raise ValueError(f"pct3x3={self.pct3x3!r} is not a number in [0.01, 0.99]")
        if not (is_number(self.squeeze_ratio) and 0 < self.squeeze_ratio <= 1):
            raise ValueError(f"squeeze_ratio={self.squeeze_ratio!r} is not a number in (0, 1]")
        if self.bypass not in BYPASSES:
            raise ValueError(f"bypass={self.bypass!r} is not one of {', '.join(BYPASSES)}")
        for fire in plan(self):
            if min(fire[1:4]) < 1:
                raise ValueError(
                    f"base_e={self.base_e}, pct3x3={self.pct3x3} and "
                    f"squeeze_ratio={self.squeeze_ratio} leave {fire.name} {fire.squeeze} squeezed "
                    f"channels, {fire.expand1x1} of 1x1 and {fire.expand3x3} of 3x3: each must be "
                    "1 or more"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeNet11Config(SqueezeNetConfig):
    """The cheaper version: a smaller stem and earlier pooling."""

    min_side: ClassVar[int] = 17

    stem: Stem = V1_1


def plan(config: SqueezeNetConfig) -> Iterator[Fire]:
    """Yields every Fire module of the network, in order.

    A bypass is simple where a module keeps the number of channels (every second module with the
    paper's meta-parameters), and complex elsewhere.
    """
    channels = config.stem.filters
    for index, number in enumerate(FIRES):
        filters = config.base_e + config.incr_e * (index // config.freq)
        expand3x3 = round(config.pct3x3 * filters)
        bypass = "simple" if channels == filters else "complex"
        if config.bypass == "none" or (config.bypass == "simple" and bypass == "complex"):
            bypass = "none"
        yield Fire(
            f"fire{number}",
            squeeze=round(config.squeeze_ratio * filters),
            expand1x1=filters - expand3x3,
            expand3x3=expand3x3,
            bypass=bypass,
            pool=f"pool{number}" if number in config.stem.pools else None,
        )
        channels = filters


VARIANTS = (SqueezeNetConfig(name="squeezenet1_0"), SqueezeNet11Config(name="squeezenet1_1"))


def build(config: SqueezeNetConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvAct(config.stem.filters, config.stem.kernel_size, strides=2, padding=0, name="conv1")(x)
    x = MaxPool(3, strides=2, ceil_mode=True, name="pool1")(x)
    for fire in plan(config):
        x = FireModule(
            fire.squeeze, fire.expand1x1, fire.expand3x3, bypass=fire.bypass, name=fire.name
        )(x)
        if fire.pool:
            # No ReLU follows a complex bypass.
            signed = config.bypass == "complex"
            x = MaxPool(3, strides=2, ceil_mode=True, signed=signed, name=fire.pool)(x)
    return interface.finish_maps(pixels, x, name=config.name, dropout=config.dropout)


def _squeezenet(
    config: SqueezeNetConfig,
    *,
    bypass: Literal["none", "simple", "complex"] = "none",
    dropout: float = 0.5,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a SqueezeNet: pixels in, class probabilities out.

    Args:
        bypass: What to add to the Fire modules' outputs: nothing (`"none"`), the input where it
            has as many channels (`"simple"`), and elsewhere a 1×1 convolution of it
            (`"complex"`).
        dropout: Dropout rate before the last convolution, in [0, 1).
    """
    config = with_options(config, bypass=bypass, dropout=dropout)
    if bypass != "none":
        config = replace(config, name=f"{config.name}_{bypass}_bypass")
    return create(build, config, common)


def SqueezeNet(
    *,
    base_e: int = 128,
    incr_e: int = 128,
    pct3x3: float = 0.5,
    freq: int = 2,
    squeeze_ratio: float = 0.125,
    bypass: Literal["none", "simple", "complex"] = "none",
    dropout: float = 0.5,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a SqueezeNet with any meta-parameters; the defaults are those of version 1.0.

    Fire module i, counted from 0, has e = base_e + incr_e · (i // freq) output channels, of which
    3×3 convolutions make pct3x3 · e. It has squeeze_ratio · e squeezed channels. Both are rounded.

    Args:
        base_e: Output channels of the first module, 1 or more.
        incr_e: Channels added every `freq` modules, 0 or more.
        pct3x3: Share of output channels that 3×3 convolutions make, in [0.01, 0.99].
        freq: Modules with the same number of output channels, 1 or more.
        squeeze_ratio: Squeezed channels over output channels, in (0, 1].
        bypass: What to add to the Fire modules' outputs: nothing (`"none"`), the input where it
            has as many channels (`"simple"`), and elsewhere a 1×1 convolution of it
            (`"complex"`).
        dropout: Dropout rate before the last convolution, in [0, 1).
        **common: The options of every builder; `weights` is None or a path.

    Raises:
        ValueError: An argument is out of range, or a convolution would have no channels.
    """
    config = SqueezeNetConfig(
        name="squeezenet",
        base_e=base_e,
        incr_e=incr_e,
        pct3x3=pct3x3,
        freq=freq,
        squeeze_ratio=squeeze_ratio,
        bypass=bypass,
        dropout=dropout,
    )
    return create(build, config, common)


SqueezeNet1_0 = builder("SqueezeNet1_0", _squeezenet, VARIANTS[0])
SqueezeNet1_1 = builder("SqueezeNet1_1", _squeezenet, VARIANTS[1])


def _torchvision(config: SqueezeNetConfig) -> Iterator[Rule]:
    """`features.{n}.{part}`; `bypass` is a complex bypass, which torchvision lacks."""
    yield from biased("features.0", "conv1/conv", "conv")
    number = 3  # after a ReLU and a pooling
    for fire in plan(config):
        source = f"features.{number}"
        for part in ("squeeze", "expand1x1", "expand3x3"):
            yield from biased(f"{source}.{part}", f"{fire.name}/{part}/conv", "conv")
        if fire.bypass == "complex":
            yield from biased(f"{source}.bypass", f"{fire.name}/skip/conv", "conv")
        number += 1 + (fire.pool is not None)
    yield from biased("classifier.1", "classifier/conv", "conv")


SqueezeNetConfig.spellings = {"torchvision": Source("torch", _torchvision)}
