"""EfficientNet B0 to B7, and any other scaling of their table.

EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, Tan and Le, 2019,
arXiv 1905.11946. The stages are those of the paper's Table 1. B1 to B7 use the coefficients of the
authors' code, which were set by hand and are not exact powers of the paper's alpha, beta and gamma.

The profiles differ in padding and in the batch norms' epsilon: torchvision uses its own 1e-5 for
B0 to B4, and the original 1e-3 for B5 to B7, whose checkpoints come from TensorFlow.
"""

import math
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvNormAct, MBConvSE, round_filters
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import TORCH, Block, ModelConfig, Paper, Stage, is_number, walk
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names import applications, timm
from keras_effnets.weights.names.rule import Rule, Source, biased, conv_norm

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


@dataclass(frozen=True, slots=True, kw_only=True)
class EfficientNetConfig(ModelConfig):
    """A scaled EfficientNet.

    Raises:
        ValueError: A width or depth is not positive, or `se_ratio` is outside (0, 1].
    """

    family: ClassVar[str] = "EfficientNet"
    paper: ClassVar[Paper] = Paper(
        "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
        "Tan and Le",
        2019,
        "https://arxiv.org/abs/1905.11946",
    )

    width: float = 1.0
    depth: float = 1.0
    drop_path: float = 0.2
    se_ratio: float = 0.25

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        for scale in ("width", "depth"):
            value = getattr(self, scale)
            if not (is_number(value) and value > 0):
                raise ValueError(f"{scale}={value!r} is not a number above 0")
        if not (is_number(self.se_ratio) and 0 < self.se_ratio <= 1):
            raise ValueError(f"se_ratio={self.se_ratio!r} is not a number in (0, 1]")

    def filters(self, base: int) -> int:
        """Returns a width of the table, scaled."""
        return round_filters(base * self.width)


_TF_TRAINED = replace(TORCH, epsilon=1e-3, momentum=0.99)
VARIANTS = (
    EfficientNetConfig(name="efficientnet_b0", width=1.0, depth=1.0, side=224, dropout=0.2),
    EfficientNetConfig(name="efficientnet_b1", width=1.0, depth=1.1, side=240, dropout=0.2),
    EfficientNetConfig(name="efficientnet_b2", width=1.1, depth=1.2, side=260, dropout=0.3),
    EfficientNetConfig(name="efficientnet_b3", width=1.2, depth=1.4, side=300, dropout=0.3),
    EfficientNetConfig(name="efficientnet_b4", width=1.4, depth=1.8, side=380, dropout=0.4),
    EfficientNetConfig(
        name="efficientnet_b5", width=1.6, depth=2.2, side=456, dropout=0.4, torch=_TF_TRAINED
    ),
    EfficientNetConfig(
        name="efficientnet_b6", width=1.8, depth=2.6, side=528, dropout=0.5, torch=_TF_TRAINED
    ),
    EfficientNetConfig(
        name="efficientnet_b7", width=2.0, depth=3.1, side=600, dropout=0.5, torch=_TF_TRAINED
    ),
)


class CompoundScaling(NamedTuple):
    """How much one compound coefficient multiplies B0 by."""

    depth: float
    width: float
    resolution: float
    constraint: float
    """alpha · beta² · gamma²: one step of the coefficient multiplies the operations by this."""


def compound_scaling(
    phi: float, alpha: float = 1.2, beta: float = 1.1, gamma: float = 1.15
) -> CompoundScaling:
    """Scales depth, width and resolution together, by the paper's equation 3.

    Depth is alpha^phi, width beta^phi, resolution gamma^phi. The paper requires
    alpha · beta² · gamma² ≈ 2, so that the operations grow with 2^phi. A product more than 10 %
    away from 2 gives a `UserWarning`.

    Raises:
        ValueError: alpha, beta or gamma is below 1.
    """
    for name, value in (("alpha", alpha), ("beta", beta), ("gamma", gamma)):
        if value < 1:
            raise ValueError(f"{name}={value!r} is below 1")
    constraint = alpha * beta**2 * gamma**2
    if abs(constraint - 2) > 0.2:
        warnings.warn(
            f"alpha * beta**2 * gamma**2 = {constraint:.3f}; the paper requires about 2",
            stacklevel=2,
        )
    return CompoundScaling(alpha**phi, beta**phi, gamma**phi, constraint)


def plan(config: EfficientNetConfig) -> Iterator[Block]:
    """Yields every block of the network, scaled, in order."""
    scaled = [
        stage._replace(
            filters=config.filters(stage.filters), repeats=math.ceil(stage.repeats * config.depth)
        )
        for stage in STAGES
    ]
    return walk(scaled, output_stride=config.output_stride, drop_path=config.drop_path)


def build(config: EfficientNetConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(
        config.filters(STEM_FILTERS), strides=2, activation="silu", **shared, name="stem"
    )(x)
    for block in plan(config):
        x = MBConvSE(
            block.filters,
            kernel_size=block.kernel_size,
            strides=block.strides,
            expansion=block.expansion,
            dilation_rate=block.dilation_rate,
            se_ratio=config.se_ratio,
            drop_path=block.drop_path,
            **shared,
            name=block.name,
        )(x)
    x = ConvNormAct(config.filters(TOP_FILTERS), 1, activation="silu", **shared, name="top")(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _efficientnet(
    config: EfficientNetConfig,
    *,
    dropout: float | None = None,
    drop_path: float | None = None,
    output_stride: int = 32,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds an EfficientNet: pixels in, class probabilities out.

    Args:
        dropout: Dropout rate before the classifier, in [0, 1); None for the paper's.
        drop_path: Maximum rate of stochastic depth, in [0, 1); None for the authors' 0.2.
        output_stride: 32; 16 or 8 keeps finer feature maps, by dilation.
    """
    config = with_options(config, dropout=dropout, drop_path=drop_path, output_stride=output_stride)
    return create(build, config, common)


def EfficientNet(
    *,
    width: float = 1.0,
    depth: float = 1.0,
    resolution: float = 1.0,
    dropout: float = 0.2,
    drop_path: float = 0.2,
    se_ratio: float = 0.25,
    output_stride: int = 32,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds an EfficientNet of any size: B0 with width, depth and resolution multiplied.

    Args:
        width: Multiplier of every layer's channels, above 0.
        depth: Multiplier of every stage's number of blocks, above 0.
        resolution: Multiplier of B0's 224 pixels; `input_shape` takes precedence.
        dropout: Dropout rate before the classifier, in [0, 1).
        drop_path: Maximum rate of stochastic depth, in [0, 1).
        se_ratio: Squeeze-and-excitation channels over a block's input channels, in (0, 1].
        output_stride: 32; 16 or 8 keeps finer feature maps, by dilation.
        **common: The options of every builder; `weights` is None or a path.

    Raises:
        ValueError: An argument is out of range.
    """
    if not (is_number(resolution) and resolution > 0):
        raise ValueError(f"resolution={resolution!r} is not a number above 0")
    config = EfficientNetConfig(
        name="efficientnet",
        width=width,
        depth=depth,
        side=round(224 * resolution),
        dropout=dropout,
        drop_path=drop_path,
        se_ratio=se_ratio,
        output_stride=output_stride,
    )
    return create(build, config, common)


EfficientNetB0 = builder("EfficientNetB0", _efficientnet, VARIANTS[0])
EfficientNetB1 = builder("EfficientNetB1", _efficientnet, VARIANTS[1])
EfficientNetB2 = builder("EfficientNetB2", _efficientnet, VARIANTS[2])
EfficientNetB3 = builder("EfficientNetB3", _efficientnet, VARIANTS[3])
EfficientNetB4 = builder("EfficientNetB4", _efficientnet, VARIANTS[4])
EfficientNetB5 = builder("EfficientNetB5", _efficientnet, VARIANTS[5])
EfficientNetB6 = builder("EfficientNetB6", _efficientnet, VARIANTS[6])
EfficientNetB7 = builder("EfficientNetB7", _efficientnet, VARIANTS[7])


def _torchvision(config: EfficientNetConfig) -> Iterator[Rule]:
    """`features.{stage}.{index}.block.{part}`; parts that a block lacks are not counted."""
    yield from conv_norm("features.0.0", "features.0.1", "stem")
    for block in plan(config):
        source = f"features.{block.stage}.{block.index}.block"
        part = 0
        if block.expansion != 1:
            yield from conv_norm(f"{source}.0.0", f"{source}.0.1", f"{block.name}/expand")
            part = 1
        depthwise, gate, project = (f"{source}.{part + i}" for i in range(3))
        yield from conv_norm(
            f"{depthwise}.0", f"{depthwise}.1", f"{block.name}/depthwise", "depthwise"
        )
        yield from biased(f"{gate}.fc1", f"{block.name}/squeeze_excite/reduce", "conv")
        yield from biased(f"{gate}.fc2", f"{block.name}/squeeze_excite/expand", "conv")
        yield from conv_norm(f"{project}.0", f"{project}.1", f"{block.name}/project")
    yield from conv_norm("features.8.0", "features.8.1", "top")
    yield from biased("classifier.1", "classifier/dense", "dense")


def efficientnet_pytorch_rules(blocks: Iterable[Block], *, squeeze_excite: bool) -> Iterator[Rule]:
    """`_blocks.{n}`, counted across all stages."""
    yield from conv_norm("_conv_stem", "_bn0", "stem")
    for number, block in enumerate(blocks):
        source = f"_blocks.{number}"
        if block.expansion != 1:
            yield from conv_norm(f"{source}._expand_conv", f"{source}._bn0", f"{block.name}/expand")
        yield from conv_norm(
            f"{source}._depthwise_conv", f"{source}._bn1", f"{block.name}/depthwise", "depthwise"
        )
        if squeeze_excite:
            gate = f"{block.name}/squeeze_excite"
            yield from biased(f"{source}._se_reduce", f"{gate}/reduce", "conv")
            yield from biased(f"{source}._se_expand", f"{gate}/expand", "conv")
        yield from conv_norm(f"{source}._project_conv", f"{source}._bn2", f"{block.name}/project")
    yield from conv_norm("_conv_head", "_bn1", "top")
    yield from biased("_fc", "classifier/dense", "dense")


def package_name(config: ModelConfig) -> str:
    """Returns efficientnet_pytorch's name for a network, or its fork's for a Lite one."""
    return config.name.replace("_", "-")


def _efficientnet_pytorch(config: EfficientNetConfig) -> Iterator[Rule]:
    return efficientnet_pytorch_rules(plan(config), squeeze_excite=True)


def _timm(config: EfficientNetConfig) -> Iterator[Rule]:
    return timm.rules(plan(config), squeeze_excite=True)


def _keras(config: EfficientNetConfig, head: str) -> Iterator[Rule]:
    """`block{stage}{letter}_{part}`, in keras.applications and in the package it came from.

    That package, `efficientnet` (github.com/qubvel/efficientnet), has another name for the
    classifier, and its networks expect normalised images.
    """
    yield from applications.conv_norm("stem_conv", "stem_bn", "stem")
    for block in plan(config):
        source = f"block{block.stage}{chr(ord('a') + block.index)}"
        if block.expansion != 1:
            yield from applications.conv_norm(
                f"{source}_expand_conv", f"{source}_expand_bn", f"{block.name}/expand"
            )
        yield from applications.conv_norm(
            f"{source}_dwconv", f"{source}_bn", f"{block.name}/depthwise"
        )
        for part in ("reduce", "expand"):
            gate = f"{block.name}/squeeze_excite/{part}"
            yield from applications.biased(f"{source}_se_{part}", gate, "kernel")
        yield from applications.conv_norm(
            f"{source}_project_conv", f"{source}_project_bn", f"{block.name}/project"
        )
    yield from applications.conv_norm("top_conv", "top_bn", "top")
    yield from applications.biased(head, "classifier/dense", "matrix")


EfficientNetConfig.spellings = {
    "torchvision": Source("torch", _torchvision),
    "efficientnet_pytorch": Source("tensorflow", _efficientnet_pytorch, architecture=package_name),
    **timm.sources(_timm),
    "keras": Source(
        "tensorflow",
        partial(_keras, head="predictions"),
        applications.NORMALIZATION,
        sign=lambda file: "it has a Normalization" if applications.normalization_of(file) else None,
        preset=applications.preset,
    ),
    "qubvel": Source(
        "tensorflow",
        partial(_keras, head="probs"),
        (),
        sign=lambda file: (
            None if applications.normalization_of(file) else "it has no Normalization"
        ),
    ),
}
