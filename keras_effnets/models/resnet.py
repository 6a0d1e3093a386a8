"""ResNet 18 to 152, and the builder of its variants.

Deep Residual Learning for Image Recognition, He et al., 2015, arXiv 1512.03385. The stages are
those of the paper's Table 1. `wide_resnet`, `resnext` and `senet` are this network with one option
changed: a bottleneck's inner width, its groups, or a squeeze-and-excitation after its branch.

The profiles differ in how pixels are scaled, in the batch norms, in the convolutions' biases
(keras.applications has them), and in where a bottleneck has its stride: on the first 1×1 as in the
paper ("v1", keras.applications), or on the 3×3 ("v1.5", torchvision).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Unpack

import keras

from keras_effnets.layers import BasicBlock, Bottleneck, ConvNormAct, MaxPool
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import TENSORFLOW, Block, ModelConfig, Paper, Profile, Stage, walk
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names import applications
from keras_effnets.weights.names.rule import (
    Rule,
    Source,
    biased,
    conv_norm,
    convolutions,
    projection,
)

STEM_FILTERS = 64
STAGES = (  # of basic blocks; a bottleneck's output is four times as wide
    Stage(expansion=1, kernel_size=3, strides=1, filters=64, repeats=2),
    Stage(expansion=1, kernel_size=3, strides=2, filters=128, repeats=2),
    Stage(expansion=1, kernel_size=3, strides=2, filters=256, repeats=2),
    Stage(expansion=1, kernel_size=3, strides=2, filters=512, repeats=2),
)
STRIDES = {"v1": "1x1", "v1.5": "3x3"}
"""Values of `stride`, and the convolution that has it in `layers.Bottleneck`'s words."""

_TENSORFLOW = replace(
    TENSORFLOW,
    padding="symmetric",
    epsilon=1.001e-5,
    mean=(123.68, 116.779, 103.939),
    std=(1.0, 1.0, 1.0),
    stride_on="1x1",
    conv_bias=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResNetConfig(ModelConfig):
    """A residual network for ImageNet.

    Raises:
        ValueError: The groups do not divide the widths, the reduction leaves no channel, or the
            stride placement is unknown.
    """

    family: ClassVar[str] = "ResNet"
    paper: ClassVar[Paper] = Paper(
        "Deep Residual Learning for Image Recognition",
        "He et al.",
        2015,
        "https://arxiv.org/abs/1512.03385",
    )
    min_side: ClassVar[int] = 1
    fixed_by_weights: ClassVar[tuple[str, ...]] = ("stride",)

    side: int = 224
    dropout: float = 0.0
    tensorflow: Profile = _TENSORFLOW
    repeats: tuple[int, int, int, int]
    expansion: int = 4
    """A bottleneck's output channels over those of its stage in the table; 1 for basic blocks."""
    groups: int = 1
    base_width: int = 64
    """Inner width of the first stage's bottlenecks, per group."""
    reduction: int | None = None
    """Output channels over squeezed channels; None for no squeeze-and-excitation."""
    stride: str | None = None
    """`"v1"` or `"v1.5"`; None for the profile's."""
    skip: bool = True
    """Whether blocks have shortcuts."""
    zero_init_residual: bool = False

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if self.stride not in (None, *STRIDES):
            raise ValueError(f"stride={self.stride!r} is not one of {', '.join(STRIDES)}")
        self.check_integers("groups", "base_width")
        if self.expansion == 1 and (self.groups, self.base_width) != (1, 64):
            raise ValueError(
                f"{self.name} has basic blocks: cardinality={self.groups} and "
                f"base_width={self.base_width} are for bottlenecks"
            )
        narrowest = STAGES[0].filters * self.expansion
        if self.reduction is not None and not 1 <= self.reduction <= narrowest:
            raise ValueError(f"reduction={self.reduction!r} is not in 1 to {narrowest}")

    @property
    def fixed_options(self) -> dict[str, Any]:
        """`stride`, never None."""
        return {"stride": next(name for name, on in STRIDES.items() if on == self.stride_on)}

    @property
    def stride_on(self) -> str:
        """The convolution of a bottleneck that has the stride."""
        return STRIDES[self.stride] if self.stride else self.conventions.stride_on

    def width(self, block: Block) -> int:
        """Returns the channels of a bottleneck's 3×3 convolution."""
        return int(block.filters // self.expansion * self.base_width / 64) * self.groups


REPEATS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
VARIANTS = (
    ResNetConfig(name="resnet18", repeats=(2, 2, 2, 2), expansion=1),
    ResNetConfig(name="resnet34", repeats=(3, 4, 6, 3), expansion=1),
    *(ResNetConfig(name=f"resnet{depth}", repeats=repeats) for depth, repeats in REPEATS.items()),
)


def plan(config: ResNetConfig) -> Iterator[Block]:
    """Yields every block of the network, in order."""
    stages = [
        stage._replace(
            expansion=config.expansion, filters=stage.filters * config.expansion, repeats=repeats
        )
        for stage, repeats in zip(STAGES, config.repeats, strict=True)
    ]
    return walk(
        stages, output_stride=config.output_stride, drop_path=config.drop_path, stem_stride=4
    )


def build(config: ResNetConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = {**config.conventions.layer_options, "use_bias": config.conventions.conv_bias}
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(STEM_FILTERS, 7, strides=2, **shared, name="stem")(x)
    x = MaxPool(3, strides=2, padding=1, name="stem_pool")(x)
    for block in plan(config):
        options = {
            "strides": block.strides,
            "dilation_rate": block.dilation_rate,
            "shortcut": "projection" if config.skip else "none",
            "squeeze_filters": block.filters // config.reduction if config.reduction else 0,
            "drop_path": block.drop_path,
            "zero_gamma": config.zero_init_residual,
            **shared,
            "name": block.name,
        }
        if config.expansion == 1:
            x = BasicBlock(block.filters, **options)(x)
        else:
            x = Bottleneck(
                block.filters,
                width=config.width(block),
                groups=config.groups,
                stride_on=config.stride_on,
                **options,
            )(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def resnet(
    config: ResNetConfig,
    *,
    stride: Literal["v1", "v1.5"] | None = None,
    skip: bool = True,
    cardinality: int | None = None,
    base_width: int | None = None,
    reduction: int | None = None,
    zero_init_residual: bool = False,
    dropout: float = 0.0,
    drop_path: float = 0.0,
    output_stride: int = 32,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a residual network: pixels in, class probabilities out.

    Args:
        stride: Where a bottleneck has its stride: `"v1"`, on the first 1×1 convolution, or
            `"v1.5"`, on the 3×3; None for that of the weights, or of the profile without weights.
            A set of weights fits both, but gives correct results with only one.
        skip: Whether blocks have shortcuts; False gives the paper's plain network.
        cardinality: Groups of the 3×3 convolutions; None for the variant's.
        base_width: Inner width of the first stage, per group; None for the variant's.
        reduction: A block's channels over its squeezed channels; None for the variant's.
        zero_init_residual: Whether the scale of each branch's last batch norm starts at zero.
        dropout: Dropout rate before the classifier, in [0, 1).
        drop_path: Maximum rate of stochastic depth, in [0, 1).
        output_stride: 32; 16 or 8 keeps finer feature maps, by dilation.
    """
    variant = config
    config = with_options(
        config,
        stride=stride,
        skip=skip,
        groups=cardinality,
        base_width=base_width,
        reduction=reduction,
        zero_init_residual=zero_init_residual,
        dropout=dropout,
        drop_path=drop_path,
        output_stride=output_stride,
    )
    shape = ("groups", "base_width", "reduction", "skip")
    if any(getattr(config, option) != getattr(variant, option) for option in shape):
        config = replace(config, name=f"{config.name}_custom")
    return create(build, config, common)


ResNet18 = builder("ResNet18", resnet, VARIANTS[0])
ResNet34 = builder("ResNet34", resnet, VARIANTS[1])
ResNet50 = builder("ResNet50", resnet, VARIANTS[2])
ResNet101 = builder("ResNet101", resnet, VARIANTS[3])
ResNet152 = builder("ResNet152", resnet, VARIANTS[4])


def _torchvision(config: ResNetConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`, also in timm, which adds squeeze-and-excitation."""
    yield from conv_norm("conv1", "bn1", "stem")
    for block in plan(config):
        source = f"layer{block.stage}.{block.index}"
        yield from convolutions(source, block.name, 2 if config.expansion == 1 else 3)
        if config.reduction:
            gate = f"{block.name}/squeeze_excite"
            yield from biased(f"{source}.se.fc1", f"{gate}/reduce", "conv")
            yield from biased(f"{source}.se.fc2", f"{gate}/expand", "conv")
        if _projects(config, block):
            yield from projection(source, block.name)
    yield from biased("fc", "classifier/dense", "dense")


def _projects(config: ResNetConfig, block: Block) -> bool:
    """Whether a shortcut is a projection: in each stage's first block that changes the shape."""
    return config.skip and block.index == 0 and (block.stage > 1 or config.expansion > 1)


def _keras(config: ResNetConfig) -> Iterator[Rule]:
    """`conv{stage + 1}_block{index + 1}_{part}`; the shortcut is part 0, and all have a bias."""
    yield from _keras_conv_norm("conv1", "stem", "bgr")
    for block in plan(config):
        source = f"conv{block.stage + 1}_block{block.index + 1}"
        if _projects(config, block):
            yield from _keras_conv_norm(f"{source}_0", f"{block.name}/skip")
        for part in (1, 2, 3):
            yield from _keras_conv_norm(f"{source}_{part}", f"{block.name}/conv{part}")
    yield from applications.biased("predictions", "classifier/dense", "matrix")


def _keras_conv_norm(source: str, target: str, kind: str = "kernel") -> Iterator[Rule]:
    yield from applications.biased(f"{source}_conv", f"{target}/conv", kind)
    yield from applications.batch_norm(f"{source}_bn", f"{target}/norm")


TORCHVISION_SOURCE = Source("torch", _torchvision)
ResNetConfig.spellings = {
    "torchvision": TORCHVISION_SOURCE,
    "timm": TORCHVISION_SOURCE,
    "keras": Source("tensorflow", _keras, ()),
}
