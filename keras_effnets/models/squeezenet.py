"""SqueezeNet 1.0 and 1.1, and those that its meta-parameters span.

SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size, Iandola et al.,
2016, arXiv 1602.07360: the network of its table 1, the meta-parameters of its section 5.1 and the
bypasses of its section 6. Version 1.1 is the authors' later release.

Pools round up, as in Caffe. The last convolution has no padding, as in torchvision, where the
authors' definition has a pixel of it. The profiles do not differ but in the batch norm, of which
there is none.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvAct, FireModule, MaxPool
from keras_effnets.models.builder import CommonOptions, builder, create, knobs
from keras_effnets.plan.config import ModelConfig, Paper, is_number
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, biased

FIRES = range(2, 10)
"""The Fire modules, numbered as in the paper: the first convolution is layer 1."""
BYPASSES = ("none", "simple", "complex")


class Stem(NamedTuple):
    """The first convolution, and the layers behind which 3×3 pooling by 2 follows."""

    filters: int
    kernel_size: int
    pools: tuple[int, ...]


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
    """Name of the pooling behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqueezeNetConfig(ModelConfig):
    """A SqueezeNet for ImageNet.

    Raises:
        ValueError: For a meta-parameter out of its range, some that leave a convolution no
            channel, or an unknown bypass.
    """

    family: ClassVar[str] = "SqueezeNet"
    paper: ClassVar[Paper] = Paper(
        "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
        "Iandola et al.",
        2016,
        "https://arxiv.org/abs/1602.07360",
    )
    min_side: ClassVar[int] = 21
    settled: ClassVar[tuple[str, ...]] = ("bypass",)

    side: int = 224
    dropout: float = 0.5
    stem: Stem = V1_0
    base_e: int = 128
    """Output channels of the first Fire modules."""
    incr_e: int = 128
    """Added to them every `freq` modules."""
    pct3x3: float = 0.5
    """Share of them that 3x3 convolutions make."""
    freq: int = 2
    squeeze_ratio: float = 0.125
    """Squeezed channels over output channels."""
    bypass: str = "none"

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        for knob, least in (("base_e", 1), ("incr_e", 0), ("freq", 1)):
            value = getattr(self, knob)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"{knob}={value!r} is not an integer of {least} or more")
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
    """The cheaper version: a smaller stem, and pools earlier."""

    min_side: ClassVar[int] = 17

    stem: Stem = V1_1


def plan(config: SqueezeNetConfig) -> Iterator[Fire]:
    """Every Fire module of the network, in order.

    A bypass is simple where a module keeps the number of channels, and complex elsewhere: with
    the paper's meta-parameters that is every second module.
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
    """The network with random weights: a pure function of its arguments."""
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvAct(config.stem.filters, config.stem.kernel_size, strides=2, padding=0, name="conv1")(x)
    x = MaxPool(3, strides=2, ceil_mode=True, name="pool1")(x)
    for fire in plan(config):
        x = FireModule(
            fire.squeeze, fire.expand1x1, fire.expand3x3, bypass=fire.bypass, name=fire.name
        )(x)
        if fire.pool:
            # A complex bypass has no ReLU behind it.
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
    """A SqueezeNet, pixels in and class probabilities out.

    Args:
        bypass: What is added to the Fire modules' outputs: nothing; their input where it has as
            many channels (`"simple"`); or elsewhere a 1×1 convolution of it too (`"complex"`).
        dropout: Before the last convolution, in [0, 1).
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    config = knobs(config, bypass=bypass, dropout=dropout)
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
    """A SqueezeNet of any meta-parameters; the defaults are those of version 1.0.

    Fire module i, counted from 0, has e = base_e + incr_e · (i // freq) output channels, of which
    pct3x3 · e are of 3×3 convolutions, and squeeze_ratio · e squeezed ones, both rounded.

    Args:
        base_e: 1 or more.
        incr_e: 0 or more.
        pct3x3: In [0.01, 0.99].
        freq: 1 or more.
        squeeze_ratio: In (0, 1].
        bypass: What is added to the Fire modules' outputs: nothing; their input where it has as
            many channels (`"simple"`); or elsewhere a 1×1 convolution of it too (`"complex"`).
        dropout: Before the last convolution, in [0, 1).
        **common: As for every builder; `weights` is None or a path.

    Raises:
        ValueError: For an argument out of its range, or some that leave a convolution no channel.
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


def torchvision(config: SqueezeNetConfig) -> Iterator[Rule]:
    """A Fire module has one number; its complex bypass, which torchvision lacks, is `bypass`."""
    yield from biased("features.0", "conv1/conv", "conv")
    number = 3  # a ReLU and a pooling
    for fire in plan(config):
        source = f"features.{number}"
        for part in ("squeeze", "expand1x1", "expand3x3"):
            yield from biased(f"{source}.{part}", f"{fire.name}/{part}/conv", "conv")
        if fire.bypass == "complex":
            yield from biased(f"{source}.bypass", f"{fire.name}/skip/conv", "conv")
        number += 1 + (fire.pool is not None)
    yield from biased("classifier.1", "classifier/conv", "conv")


SqueezeNetConfig.spellings = {"torchvision": Source("torch", torchvision)}
