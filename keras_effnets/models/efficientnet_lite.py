"""EfficientNet-Lite 0 to 4: EfficientNet for phones and integer arithmetic.

There is no paper; the source is the TensorFlow TPU repository, 2020. The table is EfficientNet's,
with four changes: no squeeze-and-excitation; ReLU6 instead of SiLU; the stem and top keep 32 and
1280 channels at every width; and the first and last stages keep their number of blocks at every
depth.

The original is a TensorFlow network, so the default profile is "tensorflow", with its padding and
epsilon.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Unpack

import keras

from keras_effnets.layers import ConvNormAct, InvertedResidual, round_filters
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.models.efficientnet import efficientnet_pytorch_rules, package_name
from keras_effnets.plan.config import (
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
from keras_effnets.weights.names import timm
from keras_effnets.weights.names.rule import Rule, Source

STEM_FILTERS = 32
STAGES = (
    Stage(expansion=1, kernel_size=3, strides=1, filters=16, repeats=1),
    Stage(expansion=6, kernel_size=3, strides=2, filters=24, repeats=2),
    Stage(expansion=6, kernel_size=5, strides=2, filters=40, repeats=2),
    Stage(expansion=6, kernel_size=3, strides=2, filters=80, repeats=3),
    Stage(expansion=6, kernel_size=5, strides=1, filters=112, repeats=3),
    Stage(expansion=6, kernel_size=5, strides=2, filters=192, repeats=4),
    Stage(expansion=6, kernel_size=3, strides=1, filters=320, repeats=1),
)
TOP_FILTERS = 1280

_MEAN, _STD = (127.0, 127.0, 127.0), (128.0, 128.0, 128.0)
_TORCH = replace(TORCH, mean=_MEAN, std=_STD)
_TENSORFLOW = replace(TENSORFLOW, mean=_MEAN, std=_STD)


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetLiteConfig(ModelConfig):
    """One of the five Lite networks."""

    family: ClassVar[str] = "EfficientNet-Lite"
    paper: ClassVar[Paper] = Paper(
        "EfficientNet-Lite, in the TensorFlow TPU models",
        "Google",
        2020,
        "https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite",
    )

    width: float
    depth: float
    drop_path: float = 0.2
    profile: str = "tensorflow"
    torch: Profile = _TORCH
    tensorflow: Profile = _TENSORFLOW


VARIANTS = (
    EfficientNetLiteConfig(name="efficientnet_lite0", width=1.0, depth=1.0, side=224, dropout=0.2),
    EfficientNetLiteConfig(name="efficientnet_lite1", width=1.0, depth=1.1, side=240, dropout=0.2),
    EfficientNetLiteConfig(name="efficientnet_lite2", width=1.1, depth=1.2, side=260, dropout=0.3),
    EfficientNetLiteConfig(name="efficientnet_lite3", width=1.2, depth=1.4, side=280, dropout=0.3),
    EfficientNetLiteConfig(name="efficientnet_lite4", width=1.4, depth=1.8, side=300, dropout=0.3),
)


def plan(config: EfficientNetLiteConfig) -> Iterator[Block]:
    """Yields every block of the network, scaled, in order."""
    unscaled = (STAGES[0], STAGES[-1])
    scaled = [
        stage._replace(
            filters=round_filters(stage.filters * config.width),
            repeats=stage.repeats if stage in unscaled else math.ceil(stage.repeats * config.depth),
        )
        for stage in STAGES
    ]
    return walk(scaled, output_stride=config.output_stride, drop_path=config.drop_path)


def build(config: EfficientNetLiteConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(STEM_FILTERS, strides=2, activation="relu6", **shared, name="stem")(x)
    for block in plan(config):
        x = InvertedResidual(
            block.filters,
            kernel_size=block.kernel_size,
            strides=block.strides,
            expansion=block.expansion,
            dilation_rate=block.dilation_rate,
            drop_path=block.drop_path,
            **shared,
            name=block.name,
        )(x)
    x = ConvNormAct(TOP_FILTERS, 1, activation="relu6", **shared, name="top")(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _efficientnet_lite(
    config: EfficientNetLiteConfig,
    *,
    dropout: float | None = None,
    drop_path: float | None = None,
    output_stride: int = 32,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds an EfficientNet-Lite: pixels in, class probabilities out.

    Args:
        dropout: Dropout rate before the classifier, in [0, 1); None for the authors'.
        drop_path: Maximum rate of stochastic depth, in [0, 1); None for the authors' 0.2.
        output_stride: 32; 16 or 8 keeps finer feature maps, by dilation.
    """
    config = with_options(config, dropout=dropout, drop_path=drop_path, output_stride=output_stride)
    return create(build, config, common)


EfficientNetLite0 = builder("EfficientNetLite0", _efficientnet_lite, VARIANTS[0])
EfficientNetLite1 = builder("EfficientNetLite1", _efficientnet_lite, VARIANTS[1])
EfficientNetLite2 = builder("EfficientNetLite2", _efficientnet_lite, VARIANTS[2])
EfficientNetLite3 = builder("EfficientNetLite3", _efficientnet_lite, VARIANTS[3])
EfficientNetLite4 = builder("EfficientNetLite4", _efficientnet_lite, VARIANTS[4])


def _efficientnet_pytorch(config: EfficientNetLiteConfig) -> Iterator[Rule]:
    return efficientnet_pytorch_rules(plan(config), squeeze_excite=False)


def _timm(config: EfficientNetLiteConfig) -> Iterator[Rule]:
    return timm.rules(plan(config))


EfficientNetLiteConfig.spellings = {
    "efficientnet_pytorch": Source("tensorflow", _efficientnet_pytorch, architecture=package_name),
    **timm.sources(_timm, tf_colours=timm.INCEPTION),
}
