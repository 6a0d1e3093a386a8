"""MobileNetV1, of any width and for images of any size.

MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, Howard et al.,
2017, arXiv 1704.04861. The stages are those of the paper's Table 1. The last depthwise convolution
has stride 1: the 2 in the table is a misprint. Every width is multiplied by alpha and truncated to
an integer of 8 or more, as in the authors' code. The resolution multiplier is the input size.

The activation is ReLU6, as in the authors' code and in keras.applications; the paper says ReLU.
The profiles differ in padding and in the batch norms. Blocks with a stride pad at the bottom and
on the right with "tensorflow", whatever the input size, as in keras.applications. At an odd size
this is not the "same" padding of the authors' code.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Unpack

import keras

from keras_effnets.layers import ConvNormAct, DepthwiseSeparable
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

STEM_FILTERS = 32
STAGES = (
    Stage(expansion=1, kernel_size=3, strides=1, filters=64, repeats=1),
    Stage(expansion=1, kernel_size=3, strides=2, filters=128, repeats=2),
    Stage(expansion=1, kernel_size=3, strides=2, filters=256, repeats=2),
    Stage(expansion=1, kernel_size=3, strides=2, filters=512, repeats=6),
    Stage(expansion=1, kernel_size=3, strides=2, filters=1024, repeats=2),
)
SHALLOW = 5
"""How many blocks of 512 channels the shallow network lacks."""

_TORCH = replace(TORCH, mean=HALF_RANGE, std=HALF_RANGE)
_TENSORFLOW = replace(TENSORFLOW, mean=HALF_RANGE, std=HALF_RANGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV1Config(ModelConfig):
    """A MobileNetV1 of one width.

    Raises:
        ValueError: `alpha` is outside (0, 1].
    """

    family: ClassVar[str] = "MobileNetV1"
    paper: ClassVar[Paper] = Paper(
        "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications",
        "Howard et al.",
        2017,
        "https://arxiv.org/abs/1704.04861",
    )

    side: int = 224
    dropout: float = 0.001
    alpha: float = 1.0
    shallow: bool = False
    profile: str = "tensorflow"
    torch: Profile = _TORCH
    tensorflow: Profile = _TENSORFLOW

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if not (is_number(self.alpha) and 0 < self.alpha <= 1):
            raise ValueError(f"alpha={self.alpha!r} is not a number in (0, 1]")

    def filters(self, base: int) -> int:
        """Returns a width of the table, scaled."""
        return max(8, int(base * self.alpha))


VARIANTS = (
    MobileNetV1Config(name="mobilenet_v1"),
    MobileNetV1Config(name="mobilenet_v1_0.75", alpha=0.75),
    MobileNetV1Config(name="mobilenet_v1_0.5", alpha=0.5),
    MobileNetV1Config(name="mobilenet_v1_0.25", alpha=0.25),
)


def plan(config: MobileNetV1Config) -> Iterator[Block]:
    """Yields every block of the network, scaled, in order."""
    scaled = [
        stage._replace(
            filters=config.filters(stage.filters),
            repeats=stage.repeats - (SHALLOW if config.shallow and stage.repeats > SHALLOW else 0),
        )
        for stage in STAGES
    ]
    return walk(scaled, output_stride=config.output_stride, drop_path=0.0)


def build(config: MobileNetV1Config, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(
        config.filters(STEM_FILTERS), strides=2, activation="relu6", **shared, name="stem"
    )(x)
    if shared["padding"] == "same":
        shared["padding"] = "bottom_right"
    for block in plan(config):
        x = DepthwiseSeparable(
            block.filters,
            strides=block.strides,
            dilation_rate=block.dilation_rate,
            **shared,
            name=block.name,
        )(x)
    return interface.finish(pixels, x, name=config.name, dropout=config.dropout)


def _mobilenet_v1(
    config: MobileNetV1Config,
    *,
    alpha: float | None = None,
    shallow: bool = False,
    dropout: float | None = None,
    output_stride: int = 32,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a MobileNetV1: pixels in, class probabilities out.

    Args:
        alpha: Width multiplier, above 0 and at most 1; None for the variant's. Weights are
            published for 1, 0.75, 0.5 and 0.25.
        shallow: Whether to leave out the five blocks of 512 channels of equal size, as in the
            paper's Table 5.
        dropout: Dropout rate before the classifier, in [0, 1); None for 0.001.
        output_stride: 32; 16 or 8 keeps finer feature maps, by dilation.
    """
    config = with_options(
        config, alpha=alpha, shallow=shallow, dropout=dropout, output_stride=output_stride
    )
    width = "" if config.alpha == 1 else f"_{config.alpha:g}"
    config = replace(config, name=f"mobilenet_v1{width}{'_shallow' if shallow else ''}")
    return create(build, config, common)


MobileNetV1 = builder("MobileNetV1", _mobilenet_v1, VARIANTS[0])
MobileNetV1_075 = builder("MobileNetV1_075", _mobilenet_v1, VARIANTS[1])
MobileNetV1_050 = builder("MobileNetV1_050", _mobilenet_v1, VARIANTS[2])
MobileNetV1_025 = builder("MobileNetV1_025", _mobilenet_v1, VARIANTS[3])


def _timm(config: MobileNetV1Config) -> Iterator[Rule]:
    yield from conv_norm("conv_stem", "bn1", "stem")
    for block in plan(config):
        yield from timm.mobile(block, squeeze_excite=False, project="pointwise")
    yield from biased("classifier", "classifier/dense", "dense")


def _keras(config: MobileNetV1Config) -> Iterator[Rule]:
    """`conv_dw_{n}` and `conv_pw_{n}`, counted across all stages from 1."""
    yield from applications.conv_norm("conv1", "conv1_bn", "stem")
    for number, block in enumerate(plan(config), start=1):
        for part, layer in (("dw", "depthwise"), ("pw", "pointwise")):
            source = f"conv_{part}_{number}"
            yield from applications.conv_norm(source, f"{source}_bn", f"{block.name}/{layer}")
    yield from applications.biased("conv_preds", "classifier/dense", "squeeze:kernel")


MobileNetV1Config.spellings = {
    **timm.sources(
        _timm,
        lambda config: timm.by_width("mobilenetv1", config.alpha, 100, 125),
        colours=timm.INCEPTION,
        tf_colours=None,
    ),
    "keras": Source("tensorflow", _keras, ()),
}
