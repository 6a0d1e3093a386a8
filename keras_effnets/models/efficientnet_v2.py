"""EfficientNetV2 S, M and L.

EfficientNetV2: Smaller Models and Faster Training, Tan and Le, 2021, arXiv 2104.00298. The stages
of S are those of the paper's Table 4; those of M and L come from the authors' code. The first three
stages are fused: one k×k convolution replaces the expansion and the depthwise convolution.

The default input size is the one used for evaluation: 384 for S, 480 for M and L. The training
images were smaller. The profiles differ in padding and in how pixels are scaled; torchvision scales
them differently for L than for S and M.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Unpack

import keras

from keras_effnets.layers import ConvNormAct, FusedMBConv, MBConvSE
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
    walk,
)
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names import applications, timm
from keras_effnets.weights.names.rule import Rule, Source, biased, conv_norm

S = (
    Stage(expansion=1, kernel_size=3, strides=1, filters=24, repeats=2),
    Stage(expansion=4, kernel_size=3, strides=2, filters=48, repeats=4),
    Stage(expansion=4, kernel_size=3, strides=2, filters=64, repeats=4),
    Stage(expansion=4, kernel_size=3, strides=2, filters=128, repeats=6),
    Stage(expansion=6, kernel_size=3, strides=1, filters=160, repeats=9),
    Stage(expansion=6, kernel_size=3, strides=2, filters=256, repeats=15),
)
M = (
    Stage(expansion=1, kernel_size=3, strides=1, filters=24, repeats=3),
    Stage(expansion=4, kernel_size=3, strides=2, filters=48, repeats=5),
    Stage(expansion=4, kernel_size=3, strides=2, filters=80, repeats=5),
    Stage(expansion=4, kernel_size=3, strides=2, filters=160, repeats=7),
    Stage(expansion=6, kernel_size=3, strides=1, filters=176, repeats=14),
    Stage(expansion=6, kernel_size=3, strides=2, filters=304, repeats=18),
    Stage(expansion=6, kernel_size=3, strides=1, filters=512, repeats=5),
)
L = (
    Stage(expansion=1, kernel_size=3, strides=1, filters=32, repeats=4),
    Stage(expansion=4, kernel_size=3, strides=2, filters=64, repeats=7),
    Stage(expansion=4, kernel_size=3, strides=2, filters=96, repeats=7),
    Stage(expansion=4, kernel_size=3, strides=2, filters=192, repeats=10),
    Stage(expansion=6, kernel_size=3, strides=1, filters=224, repeats=19),
    Stage(expansion=6, kernel_size=3, strides=2, filters=384, repeats=25),
    Stage(expansion=6, kernel_size=3, strides=1, filters=640, repeats=7),
)
FUSED_STAGES = 3
TOP_FILTERS = 1280
SE_RATIO = 0.25

_TORCH = replace(TORCH, epsilon=1e-3)
_TORCH_L = replace(_TORCH, mean=HALF_RANGE, std=HALF_RANGE)
_TENSORFLOW = replace(
    TENSORFLOW, momentum=0.9, mean=(128.0, 128.0, 128.0), std=(128.0, 128.0, 128.0)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetV2Config(ModelConfig):
    """An EfficientNetV2."""

    family: ClassVar[str] = "EfficientNetV2"
    paper: ClassVar[Paper] = Paper(
        "EfficientNetV2: Smaller Models and Faster Training",
        "Tan and Le",
        2021,
        "https://arxiv.org/abs/2104.00298",
    )

    stages: tuple[Stage, ...]
    drop_path: float = 0.2
    torch: Profile = _TORCH
    tensorflow: Profile = _TENSORFLOW

    @property
    def stem_filters(self) -> int:
        """Channels of the first convolution, which the first stage keeps."""
        return self.stages[0].filters


VARIANTS = (
    EfficientNetV2Config(name="efficientnet_v2_s", stages=S, side=384, dropout=0.2),
    EfficientNetV2Config(name="efficientnet_v2_m", stages=M, side=480, dropout=0.3),
    EfficientNetV2Config(name="efficientnet_v2_l", stages=L, side=480, dropout=0.4, torch=_TORCH_L),
)


def plan(config: EfficientNetV2Config) -> Iterator[Block]:
    """Yields every block of the network, in order."""
    return walk(config.stages, output_stride=config.output_stride, drop_path=config.drop_path)


def build(config: EfficientNetV2Config, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(config.stem_filters, strides=2, activation="silu", **shared, name="stem")(x)
    for block in plan(config):
        options = {
            "kernel_size": block.kernel_size,
            "strides": block.strides,
            "expansion": block.expansion,
            "dilation_rate": block.dilation_rate,
            "drop_path": block.drop_path,
            **shared,
            "name": block.name,
        }
        if block.stage <= FUSED_STAGES:
            x = FusedMBConv(block.filters, **options)(x)
        else:
            x = MBConvSE(block.filters, se_ratio=SE_RATIO, **options)(x)
    x = ConvNormAct(TOP_FILTERS, 1, activation="silu", **shared, name="top")(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _efficientnet_v2(
    config: EfficientNetV2Config,
    *,
    dropout: float | None = None,
    drop_path: float | None = None,
    output_stride: int = 32,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds an EfficientNetV2: pixels in, class probabilities out.

    Args:
        dropout: Dropout rate before the classifier, in [0, 1); None for the paper's.
        drop_path: Maximum rate of stochastic depth, in [0, 1); None for the authors' 0.2.
        output_stride: 32; 16 or 8 keeps finer feature maps, by dilation.
    """
    config = with_options(config, dropout=dropout, drop_path=drop_path, output_stride=output_stride)
    return create(build, config, common)


EfficientNetV2S = builder("EfficientNetV2S", _efficientnet_v2, VARIANTS[0])
EfficientNetV2M = builder("EfficientNetV2M", _efficientnet_v2, VARIANTS[1])
EfficientNetV2L = builder("EfficientNetV2L", _efficientnet_v2, VARIANTS[2])


def _torchvision(config: EfficientNetV2Config) -> Iterator[Rule]:
    """`features.{stage}.{index}.block.{part}`; parts that a block lacks are not counted."""
    yield from conv_norm("features.0.0", "features.0.1", "stem")
    for block in plan(config):
        source = f"features.{block.stage}.{block.index}.block"
        for number, part in enumerate(_parts(block)):
            target = f"{block.name}/{part}"
            if part == "squeeze_excite":
                yield from biased(f"{source}.{number}.fc1", f"{target}/reduce", "conv")
                yield from biased(f"{source}.{number}.fc2", f"{target}/expand", "conv")
            else:
                kind = "depthwise" if part == "depthwise" else "conv"
                yield from conv_norm(f"{source}.{number}.0", f"{source}.{number}.1", target, kind)
    top = f"features.{len(config.stages) + 1}"
    yield from conv_norm(f"{top}.0", f"{top}.1", "top")
    yield from biased("classifier.1", "classifier/dense", "dense")


def _parts(block: Block) -> tuple[str, ...]:
    """Names of a block's layers, in order."""
    if block.stage > FUSED_STAGES:
        return ("expand", "depthwise", "squeeze_excite", "project")
    return ("fused",) if block.expansion == 1 else ("fused", "project")


def _timm(config: EfficientNetV2Config) -> Iterator[Rule]:
    """A fused block is `conv`, or `conv_exp` and `conv_pwl` where it expands."""
    yield from conv_norm("conv_stem", "bn1", "stem")
    for block in plan(config):
        source = timm.place(block)
        if block.stage > FUSED_STAGES:
            yield from timm.mobile(block, squeeze_excite=True)
        elif block.expansion == 1:
            yield from conv_norm(f"{source}.conv", f"{source}.bn1", f"{block.name}/fused")
        else:
            yield from conv_norm(f"{source}.conv_exp", f"{source}.bn1", f"{block.name}/fused")
            yield from conv_norm(f"{source}.conv_pwl", f"{source}.bn2", f"{block.name}/project")
    yield from conv_norm("conv_head", "bn2", "top")
    yield from biased("classifier", "classifier/dense", "dense")


def _keras(config: EfficientNetV2Config) -> Iterator[Rule]:
    """`block{stage}{letter}_{part}`; a fused block without expansion is a projection."""
    yield from applications.conv_norm("stem_conv", "stem_bn", "stem")
    for block in plan(config):
        source = f"block{block.stage}{chr(ord('a') + block.index)}"
        for part in _parts(block):
            target = f"{block.name}/{part}"
            if part == "squeeze_excite":
                for gate in ("reduce", "expand"):
                    yield from applications.biased(
                        f"{source}_se_{gate}", f"{target}/{gate}", "kernel"
                    )
                continue
            conv, norm = f"{part}_conv", f"{part}_bn"
            if part == "depthwise":
                conv, norm = "dwconv2", "bn"
            elif part == "fused":
                role = "project" if block.expansion == 1 else "expand"
                conv, norm = f"{role}_conv", f"{role}_bn"
            yield from applications.conv_norm(f"{source}_{conv}", f"{source}_{norm}", target)
    yield from applications.conv_norm("top_conv", "top_bn", "top")
    yield from applications.biased("predictions", "classifier/dense", "matrix")


EfficientNetV2Config.spellings = {
    "torchvision": Source("torch", _torchvision),
    **timm.sources(
        _timm,
        lambda config: config.name.replace("efficientnet_v2", "efficientnetv2"),
        tf_colours=timm.INCEPTION,
    ),
    "keras": Source("tensorflow", _keras, ()),
}
