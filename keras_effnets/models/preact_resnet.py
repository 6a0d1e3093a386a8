"""ResNet50V2, 101V2 and 152V2: pre-activation residual networks as keras.applications has them.

Identity Mappings in Deep Residual Networks, He et al., 2016, arXiv 1603.05027: batch norm and ReLU
come before each convolution, and nothing comes after the sum. The repeats are those of the first
residual paper's Table 1.

Where keras.applications differs from the authors' code, the networks here follow
keras.applications: the stem is a convolution with neither batch norm nor ReLU; a stage has its
stride in its last block, not its first, on the 3×3, and the shortcut there skips pixels; and the
convolutions without a batch norm have a bias. The profile "torch" leaves out those biases and uses
PyTorch's epsilon, momentum and pixel scaling. `preact_cifar` has the authors' networks for CIFAR.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Unpack

import keras

from keras_effnets.layers import ConvAct, MaxPool, NormAct, PreActBottleneck
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import (
    HALF_RANGE,
    TENSORFLOW,
    Block,
    ModelConfig,
    Paper,
    Profile,
    Stage,
    walk,
)
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names import applications
from keras_effnets.weights.names.rule import Rule, Source

STEM_FILTERS = 64
EXPANSION = 4
STAGES = (  # filters of the 3×3; the last block of a stage has the stride
    Stage(expansion=EXPANSION, kernel_size=3, strides=2, filters=64, repeats=3),
    Stage(expansion=EXPANSION, kernel_size=3, strides=2, filters=128, repeats=4),
    Stage(expansion=EXPANSION, kernel_size=3, strides=2, filters=256, repeats=6),
    Stage(expansion=EXPANSION, kernel_size=3, strides=1, filters=512, repeats=3),
)

_TENSORFLOW = replace(
    TENSORFLOW,
    padding="symmetric",
    epsilon=1.001e-5,
    mean=HALF_RANGE,
    std=HALF_RANGE,
    conv_bias=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreActResNetConfig(ModelConfig):
    """A pre-activation residual network for ImageNet."""

    family: ClassVar[str] = "Pre-activation ResNet"
    paper: ClassVar[Paper] = Paper(
        "Identity Mappings in Deep Residual Networks",
        "He et al.",
        2016,
        "https://arxiv.org/abs/1603.05027",
    )
    min_side: ClassVar[int] = 1

    side: int = 224
    dropout: float = 0.0
    profile: str = "tensorflow"
    tensorflow: Profile = _TENSORFLOW
    repeats: tuple[int, int, int, int]


VARIANTS = (
    PreActResNetConfig(name="resnet50_v2", repeats=(3, 4, 6, 3)),
    PreActResNetConfig(name="resnet101_v2", repeats=(3, 4, 23, 3)),
    PreActResNetConfig(name="resnet152_v2", repeats=(3, 8, 36, 3)),
)


def plan(config: PreActResNetConfig) -> Iterator[Block]:
    """Yields every block of the network, in order."""
    stages = [
        stage._replace(strides=1, filters=EXPANSION * stage.filters, repeats=repeats)
        for stage, repeats in zip(STAGES, config.repeats, strict=True)
    ]
    for block in walk(stages, output_stride=config.output_stride, drop_path=config.drop_path):
        is_last = block.index == config.repeats[block.stage - 1] - 1
        yield replace(block, strides=STAGES[block.stage - 1].strides if is_last else 1)


def build(config: PreActResNetConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    conventions = config.conventions
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvAct(
        STEM_FILTERS,
        7,
        strides=2,
        activation=None,
        use_bias=conventions.conv_bias,
        padding=conventions.padding,
        name="stem",
    )(x)
    # The values may be negative; the border is zeros even so, as in keras.applications.
    x = MaxPool(3, strides=2, padding=1, name="stem_pool")(x)
    for block in plan(config):
        x = PreActBottleneck(
            block.filters,
            width=block.filters // EXPANSION,
            strides=block.strides,
            use_bias=conventions.conv_bias,
            **conventions.layer_options,
            name=block.name,
        )(x)
    x = NormAct(**conventions.norm_options, name="top")(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _preact_resnet(
    config: PreActResNetConfig, *, dropout: float = 0.0, **common: Unpack[CommonOptions]
) -> keras.Model:
    """Builds a pre-activation residual network: pixels in, class probabilities out.

    Args:
        dropout: Dropout rate before the classifier, in [0, 1).
    """
    return create(build, with_options(config, dropout=dropout), common)


ResNet50V2 = builder("ResNet50V2", _preact_resnet, VARIANTS[0])
ResNet101V2 = builder("ResNet101V2", _preact_resnet, VARIANTS[1])
ResNet152V2 = builder("ResNet152V2", _preact_resnet, VARIANTS[2])


def _keras(config: PreActResNetConfig) -> Iterator[Rule]:
    """`conv{stage + 1}_block{index + 1}_{part}`; a stage's first shortcut is part 0."""
    yield from applications.biased("conv1_conv", "stem/conv", "kernel")
    for block in plan(config):
        source = f"conv{block.stage + 1}_block{block.index + 1}"
        yield from applications.batch_norm(f"{source}_preact_bn", f"{block.name}/preact/norm")
        if block.index == 0:
            yield from applications.biased(f"{source}_0_conv", f"{block.name}/skip/conv", "kernel")
        for part in (1, 2):
            names = f"{source}_{part}_conv", f"{source}_{part}_bn"
            yield from applications.conv_norm(*names, f"{block.name}/conv{part}")
        yield from applications.biased(f"{source}_3_conv", f"{block.name}/conv3/conv", "kernel")
    yield from applications.batch_norm("post_bn", "top/norm")
    yield from applications.biased("predictions", "classifier/dense", "matrix")


PreActResNetConfig.spellings = {"keras": Source("tensorflow", _keras, ())}
