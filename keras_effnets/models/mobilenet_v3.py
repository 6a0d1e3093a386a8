"""MobileNetV3, Large and Small, of any width.

Searching for MobileNetV3, Howard et al., 2019, arXiv 1905.02244. The rows are those of the
paper's Tables 1 and 2, without the squeeze-and-excitation on the last convolution of Table 2, which
no implementation has. The minimalistic networks, from the authors' code, have no
squeeze-and-excitation, only 3×3 kernels and only ReLU.

The profiles differ in padding, in the batch norms, in how pixels are scaled, and in how alpha
changes the widths, so each profile fits other weights. "torch" multiplies and rounds every width of
the table, as torchvision does. "tensorflow" keeps the stem's 16 channels, expands each block from
its input's rounded width, and never shrinks the hidden layer, as keras.applications does; this rule
gives the paper's multiply-adds. At alpha 1 both are the same network.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import (
    ConvNormAct,
    DenseAct,
    InvertedResidual,
    InvertedResidualSE,
    round_filters,
)
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import (
    HALF_RANGE,
    TENSORFLOW,
    TORCH,
    Block,
    ModelConfig,
    Paper,
    Profile,
    Stage,
    is_number,
    walk,
)
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names import applications, timm
from keras_effnets.weights.names.rule import Rule, Source, biased, conv_norm


class V3Row(NamedTuple):
    """One block: a row of the paper's tables."""

    kernel_size: int
    expanded: int
    """Channels of the depthwise convolution."""
    filters: int
    squeeze: bool
    """Whether the block has a squeeze-and-excitation."""
    activation: str
    strides: int


STEM_FILTERS = 16
LARGE = (  # by stages
    (V3Row(3, 16, 16, False, "relu", 1),),
    (V3Row(3, 64, 24, False, "relu", 2), V3Row(3, 72, 24, False, "relu", 1)),
    (V3Row(5, 72, 40, True, "relu", 2), *[V3Row(5, 120, 40, True, "relu", 1)] * 2),
    (
        V3Row(3, 240, 80, False, "hard_swish", 2),
        V3Row(3, 200, 80, False, "hard_swish", 1),
        *[V3Row(3, 184, 80, False, "hard_swish", 1)] * 2,
    ),
    (V3Row(3, 480, 112, True, "hard_swish", 1), V3Row(3, 672, 112, True, "hard_swish", 1)),
    (V3Row(5, 672, 160, True, "hard_swish", 2), *[V3Row(5, 960, 160, True, "hard_swish", 1)] * 2),
)
SMALL = (
    (V3Row(3, 16, 16, True, "relu", 2),),
    (V3Row(3, 72, 24, False, "relu", 2), V3Row(3, 88, 24, False, "relu", 1)),
    (V3Row(5, 96, 40, True, "hard_swish", 2), *[V3Row(5, 240, 40, True, "hard_swish", 1)] * 2),
    (V3Row(5, 120, 48, True, "hard_swish", 1), V3Row(5, 144, 48, True, "hard_swish", 1)),
    (V3Row(5, 288, 96, True, "hard_swish", 2), *[V3Row(5, 576, 96, True, "hard_swish", 1)] * 2),
)
TOP_EXPANSION = 6

_TORCH = replace(TORCH, epsilon=1e-3, momentum=0.99)
_TENSORFLOW = replace(TENSORFLOW, momentum=0.999, mean=HALF_RANGE, std=HALF_RANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV3Config(ModelConfig):
    """A MobileNetV3 of one width.

    Raises:
        ValueError: `alpha` is outside [0.35, 1.25].
    """

    family: ClassVar[str] = "MobileNetV3"
    paper: ClassVar[Paper] = Paper(
        "Searching for MobileNetV3", "Howard et al.", 2019, "https://arxiv.org/abs/1905.02244"
    )
    head: ClassVar[tuple[str, ...]] = ("hidden", "classifier")

    side: int = 224
    dropout: float = 0.2
    table: tuple[tuple[V3Row, ...], ...]
    hidden: int
    """Units of the dense layer before the classifier."""
    alpha: float = 1.0
    minimalistic: bool = False
    torch: Profile = _TORCH
    tensorflow: Profile = _TENSORFLOW

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if not (is_number(self.alpha) and 0.35 <= self.alpha <= 1.25):
            raise ValueError(f"alpha={self.alpha!r} is not a number in [0.35, 1.25]")

    @property
    def multiplies_all(self) -> bool:
        """Whether alpha multiplies every width of the table, as in torchvision."""
        return self.profile == "torch"

    @property
    def stem_filters(self) -> int:
        """Channels of the first convolution."""
        return round_filters(STEM_FILTERS * self.alpha) if self.multiplies_all else STEM_FILTERS

    @property
    def top_filters(self) -> int:
        """Channels of the last convolution."""
        return round_filters(TOP_EXPANSION * self.filters(self.table[-1][-1].filters))

    @property
    def hidden_units(self) -> int:
        """Units of the hidden dense layer."""
        alpha = self.alpha if self.multiplies_all else max(1.0, self.alpha)
        return round_filters(self.hidden * alpha)

    def filters(self, base: int) -> int:
        """Returns a width of the table, scaled."""
        return round_filters(base * self.alpha)

    @property
    def activation(self) -> str:
        """Activation of the stem, the top and the hidden layer."""
        return "relu" if self.minimalistic else "hard_swish"


VARIANTS = (
    MobileNetV3Config(name="mobilenet_v3_small", table=SMALL, hidden=1024),
    MobileNetV3Config(name="mobilenet_v3_large", table=LARGE, hidden=1280),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileBlock(Block):
    """One block, with its own squeeze-and-excitation and activation."""

    squeeze_filters: int
    """Channels of the squeeze-and-excitation; 0 for none."""
    activation: str


def plan(config: MobileNetV3Config) -> Iterator[MobileBlock]:
    """Yields every block of the network, scaled, in order."""
    rows = [row for stage in config.table for row in stage]
    stages = [
        Stage(
            expansion=1,
            kernel_size=stage[0].kernel_size,
            strides=stage[0].strides,
            filters=config.filters(stage[0].filters),
            repeats=len(stage),
        )
        for stage in config.table
    ]
    blocks = walk(stages, output_stride=config.output_stride, drop_path=config.drop_path)
    base, channels = STEM_FILTERS, config.stem_filters
    for row, block in zip(rows, blocks, strict=True):
        ratio = row.expanded / base
        expanded = config.filters(row.expanded)
        if not config.multiplies_all:
            expanded = round_filters(ratio * channels)
        squeezes = row.squeeze and not config.minimalistic
        scaled = {
            "kernel_size": 3 if config.minimalistic else row.kernel_size,
            "expansion": expanded / channels,
            "squeeze_filters": round_filters(expanded / 4) if squeezes else 0,
            "activation": "relu" if config.minimalistic else row.activation,
        }
        yield MobileBlock(**{**asdict(block), **scaled})
        base, channels = row.filters, block.filters


def build(config: MobileNetV3Config, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(
        config.stem_filters, strides=2, activation=config.activation, **shared, name="stem"
    )(x)
    for block in plan(config):
        options = {
            "kernel_size": block.kernel_size,
            "strides": block.strides,
            "expansion": block.expansion,
            "dilation_rate": block.dilation_rate,
            "activation": block.activation,
            "drop_path": block.drop_path,
            **shared,
            "name": block.name,
        }
        if block.squeeze_filters:
            squeeze = block.squeeze_filters
            x = InvertedResidualSE(block.filters, squeeze_filters=squeeze, **options)(x)
        else:
            x = InvertedResidual(block.filters, **options)(x)
    x = ConvNormAct(config.top_filters, 1, activation=config.activation, **shared, name="top")(x)
    if not interface.include_top:
        return interface.finish(pixels, x, name=config.name, dropout=config.dropout)
    x = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="pool")(x)
    x = DenseAct(config.hidden_units, activation=config.activation, name="hidden")(x)
    scores = interface.classify(x, dropout=config.dropout)
    return interface.close(pixels, scores, name=config.name)


def _mobilenet_v3(
    config: MobileNetV3Config,
    *,
    alpha: float = 1.0,
    minimalistic: bool = False,
    dropout: float | None = None,
    drop_path: float = 0.0,
    output_stride: int = 32,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a MobileNetV3: pixels in, class probabilities out.

    Args:
        alpha: Width multiplier, 0.35 to 1.25. Weights are published for 1.
        minimalistic: Whether to use no squeeze-and-excitation, only 3×3 kernels and only ReLU.
        dropout: Dropout rate before the classifier, in [0, 1); None for 0.2.
        drop_path: Maximum rate of stochastic depth, in [0, 1).
        output_stride: 32; 16 or 8 keeps finer feature maps, by dilation.
    """
    config = with_options(
        config,
        alpha=alpha,
        minimalistic=minimalistic,
        dropout=dropout,
        drop_path=drop_path,
        output_stride=output_stride,
    )
    kind = "_minimalistic" if minimalistic else ""
    width = "" if alpha == 1 else f"_{alpha:g}"
    config = replace(config, name=f"{config.name}{kind}{width}")
    return create(build, config, common)


MobileNetV3Small = builder("MobileNetV3Small", _mobilenet_v3, VARIANTS[0])
MobileNetV3Large = builder("MobileNetV3Large", _mobilenet_v3, VARIANTS[1])


def _torchvision(config: MobileNetV3Config) -> Iterator[Rule]:
    """`features.{n}.block.{part}`, blocks from 1; parts that a block lacks are not counted."""
    yield from conv_norm("features.0.0", "features.0.1", "stem")
    number = 0
    for number, block in enumerate(plan(config), start=1):
        source, part = f"features.{number}.block", 0
        if block.expansion != 1:
            yield from conv_norm(f"{source}.0.0", f"{source}.0.1", f"{block.name}/expand")
            part = 1
        depthwise = f"{source}.{part}"
        yield from conv_norm(
            f"{depthwise}.0", f"{depthwise}.1", f"{block.name}/depthwise", "depthwise"
        )
        if block.squeeze_filters:
            part += 1
            for layer, role in (("fc1", "reduce"), ("fc2", "expand")):
                gate = f"{block.name}/squeeze_excite/{role}"
                yield from biased(f"{source}.{part}.{layer}", gate, "conv")
        project = f"{source}.{part + 1}"
        yield from conv_norm(f"{project}.0", f"{project}.1", f"{block.name}/project")
    yield from conv_norm(f"features.{number + 1}.0", f"features.{number + 1}.1", "top")
    yield from biased("classifier.0", "hidden/dense", "dense")
    yield from biased("classifier.3", "classifier/dense", "dense")


def _timm(config: MobileNetV3Config) -> Iterator[Rule]:
    """The last convolution is its own stage; the hidden layer is a 1×1 convolution."""
    yield from conv_norm("conv_stem", "bn1", "stem")
    last = 0
    for block in plan(config):
        yield from timm.mobile(block, squeeze_excite=block.squeeze_filters > 0)
        last = block.stage
    yield from conv_norm(f"blocks.{last}.0.conv", f"blocks.{last}.0.bn1", "top")
    yield from biased("conv_head", "hidden/dense", "squeeze:conv")
    yield from biased("classifier", "classifier/dense", "dense")


def _timm_name(config: MobileNetV3Config) -> str | None:
    if config.minimalistic:
        return None
    widths = (50, 75, 100) if "small" in config.name else (75, 100)
    return timm.by_width(_timm_size(config), config.alpha, *widths)


def _timm_tf_name(config: MobileNetV3Config) -> str | None:
    if config.minimalistic:
        return timm.by_width(f"tf_{_timm_size(config)}_minimal", config.alpha, 100)
    return timm.by_width(f"tf_{_timm_size(config)}", config.alpha, 75, 100)


def _timm_size(config: MobileNetV3Config) -> str:
    return f"mobilenetv3_{'small' if 'small' in config.name else 'large'}"


def _keras(config: MobileNetV3Config) -> Iterator[Rule]:
    """`expanded_conv_{n}_{part}`, without number for the first block; the top is 1×1s."""
    yield from applications.conv_norm("conv", "conv_bn", "stem")
    for number, block in enumerate(plan(config)):
        source = f"expanded_conv_{number}" if number else "expanded_conv"
        for part in ("expand", "depthwise", "project"):
            if part != "expand" or block.expansion != 1:
                yield from applications.conv_norm(
                    f"{source}_{part}", f"{source}_{part}_bn", f"{block.name}/{part}"
                )
        if block.squeeze_filters:
            gate = f"{block.name}/squeeze_excite"
            yield from applications.biased(
                f"{source}_squeeze_excite_conv", f"{gate}/reduce", "kernel"
            )
            yield from applications.biased(
                f"{source}_squeeze_excite_conv_1", f"{gate}/expand", "kernel"
            )
    yield from applications.conv_norm("conv_1", "conv_1_bn", "top")
    yield from applications.biased("conv_2", "hidden/dense", "squeeze:kernel")
    yield from applications.biased("logits", "classifier/dense", "squeeze:kernel")


MobileNetV3Config.spellings = {
    "torchvision": Source("torch", _torchvision),
    **timm.sources(_timm, _timm_name, tf_colours=timm.INCEPTION, tf_architecture=_timm_tf_name),
    "keras": Source("tensorflow", _keras, ()),
}
