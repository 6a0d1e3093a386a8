"""MobileNetV1, of any width and for pictures of any size.

MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications, Howard et al.,
2017, arXiv 1704.04861. The stages are those of the paper's Table 1, whose last depthwise
convolution strides by 1: the 2 there is a misprint. Every width is multiplied by alpha and cut to
an integer, of 8 or more as in the authors' code; the resolution multiplier is the side of the
pictures.

The activation is ReLU6, as in the authors' code and in keras.applications; the paper says ReLU.
The profiles differ in padding and in the batch norm. Where a block strides, "tensorflow" pads
below and to the right whatever the side is, as keras.applications does: at an odd side that is
not "same", which the authors' code has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Unpack

import keras

from keras_effnets.layers import ConvNormAct, DepthwiseSeparable
from keras_effnets.models.builder import CommonOptions, builder, create, knobs
from keras_effnets.plan.config import Block, ModelConfig, Paper, Stage, is_number, walk
from keras_effnets.plan.interface import Interface
from keras_effnets.plan.profile import TENSORFLOW, TORCH, Profile
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
"""Blocks of 512 channels that the shallow network lacks."""

_GREY = (127.5, 127.5, 127.5)
_TORCH = replace(TORCH, mean=_GREY, std=_GREY)
_TENSORFLOW = replace(TENSORFLOW, mean=_GREY, std=_GREY)


@dataclass(frozen=True, slots=True, kw_only=True)
class MobileNetV1Config(ModelConfig):
    """A MobileNetV1 of one width.

    Raises:
        ValueError: For an alpha outside (0, 1].
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
        """A width of the table, multiplied."""
        return max(8, int(base * self.alpha))

    @property
    def block_unit(self) -> dict[str, Any]:
        """The arguments of the blocks that a heritage settles."""
        padding = self.habits.padding
        return {
            **self.habits.unit,
            "padding": "bottom_right" if padding == "same" else padding,
        }


VARIANTS = (
    MobileNetV1Config(name="mobilenet_v1"),
    MobileNetV1Config(name="mobilenet_v1_0.75", alpha=0.75),
    MobileNetV1Config(name="mobilenet_v1_0.5", alpha=0.5),
    MobileNetV1Config(name="mobilenet_v1_0.25", alpha=0.25),
)


def plan(config: MobileNetV1Config) -> Iterator[Block]:
    """Every block of the network, scaled, in order."""
    scaled = [
        stage._replace(
            filters=config.filters(stage.filters),
            repeats=stage.repeats - (SHALLOW if config.shallow and stage.repeats > SHALLOW else 0),
        )
        for stage in STAGES
    ]
    return walk(scaled, output_stride=config.output_stride, drop_path=0.0)


def build(config: MobileNetV1Config, interface: Interface) -> keras.Model:
    """The network with random weights: a pure function of its arguments."""
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    x = ConvNormAct(
        config.filters(STEM_FILTERS),
        strides=2,
        activation="relu6",
        **config.habits.unit,
        name="stem",
    )(x)
    for block in plan(config):
        x = DepthwiseSeparable(
            block.filters,
            strides=block.strides,
            dilation_rate=block.dilation_rate,
            **config.block_unit,
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
    """MobileNetV1, pixels in and class probabilities out.

    Args:
        alpha: Width multiplier, above 0 and at most 1; None takes the variant's. There are
            published weights for 1, 0.75, 0.5 and 0.25.
        shallow: Whether the five blocks of 512 channels at one size are left out, as in the
            paper's Table 5.
        dropout: Before the classifier, in [0, 1); None takes 0.001.
        output_stride: 32, or 16 or 8 to keep finer feature maps by dilation.
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    config = knobs(
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
    """`conv_dw_{n}` and `conv_pw_{n}`, counted through all stages from 1."""
    yield from applications.conv_norm("conv1", "conv1_bn", "stem")
    for number, block in enumerate(plan(config), start=1):
        for part, ours in (("dw", "depthwise"), ("pw", "pointwise")):
            source = f"conv_{part}_{number}"
            yield from applications.conv_norm(source, f"{source}_bn", f"{block.name}/{ours}")
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
