"""DenseNet for ImageNet, and the builder of the one for CIFAR.

Densely Connected Convolutional Networks, Huang et al., 2016, arXiv 1608.06993: the networks of the
paper's Table 1, and 161 from its first version. The 2 × 2 average pooling between blocks drops the
last row and column of an odd size.

The profiles differ only in the batch norms. Dropout follows every convolution except the first, as
in the paper; in torchvision it follows only the second of each layer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvAct, ConvNormAct, DenseBlock, MaxPool, NormAct, Transition
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import TENSORFLOW, ModelConfig, Paper, Profile, is_number
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names import applications
from keras_effnets.weights.names.rule import Rule, Source, batch_norm, biased

_TENSORFLOW = replace(TENSORFLOW, padding="symmetric", epsilon=1.001e-5)


class DenseStage(NamedTuple):
    """One dense block, and the transition after it."""

    name: str
    repeats: int
    transition: str | None
    """The transition's name; None after the last block."""
    filters: int
    """Output channels of the transition, or of the last block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseNetConfig(ModelConfig):
    """A dense network.

    Raises:
        ValueError: `growth_rate` is below 1, or `compression` is outside (0, 1].
    """

    family: ClassVar[str] = "DenseNet"
    paper: ClassVar[Paper] = Paper(
        "Densely Connected Convolutional Networks",
        "Huang et al.",
        2016,
        "https://arxiv.org/abs/1608.06993",
    )
    min_side: ClassVar[int] = 29

    side: int = 224
    dropout: float = 0.0
    """Dropout rate after each convolution except the first."""
    tensorflow: Profile = _TENSORFLOW
    repeats: tuple[int, ...]
    growth_rate: int = 32
    """New channels of each layer, the paper's k."""
    bottleneck: bool = True
    compression: float = 0.5
    """Channels after a transition over those before it, the paper's θ."""
    memory_efficient: bool = False

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        self.check_integers("growth_rate")
        if not (is_number(self.compression) and 0 < self.compression <= 1):
            raise ValueError(f"compression={self.compression!r} is not a number in (0, 1]")

    @property
    def stem(self) -> int:
        """Channels of the first convolution."""
        return 2 * self.growth_rate

    @property
    def large_stem(self) -> bool:
        """Whether the stem is a strided 7×7 convolution with pooling, or only a 3×3 one."""
        return True


VARIANTS = (
    DenseNetConfig(name="densenet121", repeats=(6, 12, 24, 16)),
    DenseNetConfig(name="densenet161", repeats=(6, 12, 36, 24), growth_rate=48),
    DenseNetConfig(name="densenet169", repeats=(6, 12, 32, 32)),
    DenseNetConfig(name="densenet201", repeats=(6, 12, 48, 32)),
    DenseNetConfig(name="densenet264", repeats=(6, 12, 64, 48)),
)


def plan(config: DenseNetConfig) -> Iterator[DenseStage]:
    """Yields every dense block with the transition after it, in order.

    Raises:
        ValueError: The compression leaves no channels.
    """
    channels, last = config.stem, len(config.repeats)
    for number, repeats in enumerate(config.repeats, start=1):
        channels += repeats * config.growth_rate
        if number == last:
            yield DenseStage(f"stage{number}", repeats, None, channels)
            return
        channels = int(channels * config.compression)
        if not channels:
            raise ValueError(
                f"compression={config.compression!r} leaves no channels after stage {number}"
            )
        yield DenseStage(f"stage{number}", repeats, f"transition{number}", channels)


def _stem(config: DenseNetConfig, x: Any) -> Any:
    if not config.large_stem:
        return ConvAct(config.stem, 3, use_bias=False, activation=None, name="stem")(x)
    x = ConvNormAct(config.stem, 7, strides=2, **config.conventions.layer_options, name="stem")(x)
    return MaxPool(3, strides=2, padding=1, name="stem_pool")(x)


def build(config: DenseNetConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    norm = config.conventions.norm_options
    options: dict[str, Any] = {
        "dropout_rate": config.dropout,
        "recompute": config.memory_efficient,
        **norm,
    }
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = _stem(config, interface.preprocess(pixels, config.input_preset))
    for stage in plan(config):
        x = DenseBlock(
            stage.repeats,
            config.growth_rate,
            bottleneck=config.bottleneck,
            **options,
            name=stage.name,
        )(x)
        if stage.transition:
            x = Transition(stage.filters, **options, name=stage.transition)(x)
    x = NormAct(**norm, name="top")(x)
    return interface.finish(pixels, x, name=config.name, dropout=0.0)


def _densenet(
    config: DenseNetConfig,
    *,
    growth_rate: int | None = None,
    compression: float | None = None,
    dropout: float = 0.0,
    memory_efficient: bool = False,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a dense network: pixels in, class probabilities out.

    Args:
        growth_rate: New channels of each layer; None for the variant's.
        compression: Channels after a transition over those before it, in (0, 1]; None for 0.5.
        dropout: Dropout rate after each convolution except the first, in [0, 1).
        memory_efficient: Whether training recomputes each layer's concatenation, norm and
            activation instead of keeping them. The results are the same.
    """
    variant = config
    config = with_options(
        config,
        growth_rate=growth_rate,
        compression=compression,
        dropout=dropout,
        memory_efficient=memory_efficient,
    )
    return create(build, named(config, variant), common)


def named(config: DenseNetConfig, variant: DenseNetConfig) -> DenseNetConfig:
    """Renames the config if its weights have other shapes than the variant's."""
    shape = ("repeats", "growth_rate", "bottleneck", "compression")
    if all(getattr(config, option) == getattr(variant, option) for option in shape):
        return config
    return replace(config, name=f"{config.name}_custom")


DenseNet121 = builder("DenseNet121", _densenet, VARIANTS[0])
DenseNet161 = builder("DenseNet161", _densenet, VARIANTS[1])
DenseNet169 = builder("DenseNet169", _densenet, VARIANTS[2])
DenseNet201 = builder("DenseNet201", _densenet, VARIANTS[3])
DenseNet264 = builder("DenseNet264", _densenet, VARIANTS[4])


def _torchvision(config: DenseNetConfig, dot: str = "") -> Iterator[Rule]:
    """`features.denseblock{stage}.denselayer{layer}.{part}{n}`, stages and layers from 1.

    The files that torchvision publishes have a dot between part and number.
    """
    yield Rule("features.conv0.weight", "stem/conv/kernel", "conv")
    if config.large_stem:
        yield from batch_norm("features.norm0", "stem/norm")
    last = 0
    for last, stage in enumerate(plan(config), start=1):
        for layer in range(stage.repeats):
            source = f"features.denseblock{last}.denselayer{layer + 1}"
            for part in (1, 2) if config.bottleneck else (1,):
                target = f"{stage.name}/layer{layer}/conv{part}"
                yield from batch_norm(f"{source}.norm{dot}{part}", f"{target}/norm")
                yield Rule(f"{source}.conv{dot}{part}.weight", f"{target}/conv/kernel", "conv")
        if stage.transition:
            source = f"features.{stage.transition}"
            yield from batch_norm(f"{source}.norm", f"{stage.transition}/norm")
            yield Rule(f"{source}.conv.weight", f"{stage.transition}/conv/kernel", "conv")
    yield from batch_norm(f"features.norm{last + 1}", "top/norm")
    yield from biased("classifier", "classifier/dense", "dense")


def _keras(config: DenseNetConfig) -> Iterator[Rule]:
    """`conv{stage + 1}_block{layer}_{part}_{kind}`; the batch norm of part 1 is part 0's."""
    yield Rule("conv1_conv/kernel", "stem/conv/kernel", "kernel")
    if config.large_stem:
        yield from applications.batch_norm("conv1_bn", "stem/norm")
    for number, stage in enumerate(plan(config), start=2):
        for layer in range(stage.repeats):
            source = f"conv{number}_block{layer + 1}"
            for part in (1, 2) if config.bottleneck else (1,):
                target = f"{stage.name}/layer{layer}/conv{part}"
                yield from applications.conv_norm(
                    f"{source}_{part}_conv", f"{source}_{part - 1}_bn", target
                )
        if stage.transition:
            pool = f"pool{number}"
            yield from applications.conv_norm(f"{pool}_conv", f"{pool}_bn", stage.transition)
    yield from applications.batch_norm("bn", "top/norm")
    yield from applications.biased("predictions", "classifier/dense", "matrix")


def _library_name(config: DenseNetConfig) -> str | None:
    """The name in torchvision and timm, which lack DenseNet-264 and the networks for CIFAR."""
    return None if config.name in ("densenet264", "densenet_cifar") else config.name


_TORCHVISION_SOURCE = Source("torch", _torchvision, architecture=_library_name)
DenseNetConfig.spellings = {
    "torchvision": _TORCHVISION_SOURCE,
    "torchvision_legacy": Source(
        "torch", partial(_torchvision, dot="."), architecture=_library_name
    ),
    "timm": _TORCHVISION_SOURCE,
    "keras": Source("tensorflow", _keras, ()),
}
"""timm has torchvision's names; the files that torchvision publishes have older ones."""
