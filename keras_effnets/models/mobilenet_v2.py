"""MobileNetV2, of any width.

MobileNetV2: Inverted Residuals and Linear Bottlenecks, Sandler et al., 2018, arXiv 1801.04381.
The stages are those of the paper's Table 2. Every width is multiplied by alpha and rounded to a
multiple of 8; the last convolution never has fewer than 1280 channels.

The profiles differ in padding, in the batch norms and in how pixels are scaled. Unlike the paper,
there is dropout before the classifier, as in the training code of both frameworks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Unpack

import keras

from keras_effnets.layers import ConvNormAct, InvertedResidual, round_filters
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import (
    HALF_RANGE,
    TENSORFLOW,
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

STEM_FILTERS = 32
STAGES = (
    Stage(expansion=1, kernel_size=3, strides=1, filters=16, repeats=1),
    Stage(expansion=6, kernel_size=3, strides=2, filters=24, repeats=2),
    Stage(expansion=6, kernel_size=3, strides=2, filters=32, repeats=3),
    Stage(expansion=6, kernel_size=3, strides=2, filters=64, repeats=4),
    Stage(expansion=6, kernel_size=3, strides=1, filters=96, repeats=3),
    Stage(expansion=6, kernel_size=3, strides=2, filters=160, repeats=3),
    Stage(expansion=6, kernel_size=3, strides=1, filters=320, repeats=1),
)
TOP_FILTERS = 1280

_TENSORFLOW = replace(TENSORFLOW, momentum=0.999, mean=HALF_RANGE, std=HALF_RANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV2Config(ModelConfig):
    """A MobileNetV2 of one width.

    Raises:
        ValueError: `alpha` is outside [0.35, 1.4].
    """

    family: ClassVar[str] = "MobileNetV2"
    paper: ClassVar[Paper] = Paper(
        "MobileNetV2: Inverted Residuals and Linear Bottlenecks",
        "Sandler et al.",
        2018,
        "https://arxiv.org/abs/1801.04381",
    )

    alpha: float = 1.0
    tensorflow: Profile = _TENSORFLOW

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if not (is_number(self.alpha) and 0.35 <= self.alpha <= 1.4):
            raise ValueError(f"alpha={self.alpha!r} is not a number in [0.35, 1.4]")

    @property
    def top_filters(self) -> int:
        """Channels of the last convolution."""
        return round_filters(TOP_FILTERS * max(1.0, self.alpha))


VARIANTS = (MobileNetV2Config(name="mobilenet_v2", side=224, dropout=0.2),)


def plan(config: MobileNetV2Config) -> Iterator[Block]:
    """Yields every block of the network, scaled, in order."""
    scaled = [
        stage._replace(filters=round_filters(stage.filters * config.alpha)) for stage in STAGES
    ]
    return walk(scaled, output_stride=config.output_stride, drop_path=config.drop_path)


def build(config: MobileNetV2Config, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(
        round_filters(STEM_FILTERS * config.alpha),
        strides=2,
        activation="relu6",
        **shared,
        name="stem",
    )(x)
    for block in plan(config):
        x = InvertedResidual(
            block.filters,
            strides=block.strides,
            expansion=block.expansion,
            dilation_rate=block.dilation_rate,
            drop_path=block.drop_path,
            **shared,
            name=block.name,
        )(x)
    x = ConvNormAct(config.top_filters, 1, activation="relu6", **shared, name="top")(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _mobilenet_v2(
    config: MobileNetV2Config,
    *,
    alpha: float = 1.0,
    dropout: float | None = None,
    drop_path: float | None = None,
    output_stride: int = 32,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a MobileNetV2: pixels in, class probabilities out.

    Args:
        alpha: Width multiplier, 0.35 to 1.4. Weights are published for 1.0.
        dropout: Dropout rate before the classifier, in [0, 1); None for 0.2.
        drop_path: Maximum rate of stochastic depth, in [0, 1); None for the paper's 0.
        output_stride: 32; 16 or 8 keeps finer feature maps, by dilation.
    """
    config = with_options(
        config, alpha=alpha, dropout=dropout, drop_path=drop_path, output_stride=output_stride
    )
    if alpha != 1:
        config = with_options(config, name=f"{config.name}_{alpha:g}")
    return create(build, config, common)


MobileNetV2 = builder("MobileNetV2", _mobilenet_v2, VARIANTS[0])


def _torchvision(config: MobileNetV2Config) -> Iterator[Rule]:
    """`features.{n}.conv.{part}`, blocks counted across all stages from 1."""
    yield from conv_norm("features.0.0", "features.0.1", "stem")
    number = 0
    for number, block in enumerate(plan(config), start=1):
        source = f"features.{number}.conv"
        part = 0
        if block.expansion != 1:
            yield from conv_norm(f"{source}.0.0", f"{source}.0.1", f"{block.name}/expand")
            part = 1
        yield from conv_norm(
            f"{source}.{part}.0", f"{source}.{part}.1", f"{block.name}/depthwise", "depthwise"
        )
        # The projection has no activation, so torchvision does not wrap it with its batch norm.
        yield from conv_norm(
            f"{source}.{part + 1}", f"{source}.{part + 2}", f"{block.name}/project"
        )
    yield from conv_norm(f"features.{number + 1}.0", f"features.{number + 1}.1", "top")
    yield from biased("classifier.1", "classifier/dense", "dense")


def _timm(config: MobileNetV2Config) -> Iterator[Rule]:
    return timm.rules(plan(config))


def _keras(config: MobileNetV2Config) -> Iterator[Rule]:
    """`block_{n}_{part}`; the first block and the stem have names of their own."""
    yield from applications.conv_norm("Conv1", "bn_Conv1", "stem")
    for number, block in enumerate(plan(config)):
        source = f"block_{number}" if number else "expanded_conv"
        for part in ("expand", "depthwise", "project"):
            if part != "expand" or block.expansion != 1:
                yield from applications.conv_norm(
                    f"{source}_{part}", f"{source}_{part}_BN", f"{block.name}/{part}"
                )
    yield from applications.conv_norm("Conv_1", "Conv_1_bn", "top")
    yield from applications.biased("predictions", "classifier/dense", "matrix")


MobileNetV2Config.spellings = {
    "torchvision": Source("torch", _torchvision),
    **timm.sources(
        _timm,
        lambda config: timm.by_width("mobilenetv2", config.alpha, 35, 50, 75, 100, 140),
        tf_colours=None,
    ),
    "keras": Source("tensorflow", _keras, ()),
}
