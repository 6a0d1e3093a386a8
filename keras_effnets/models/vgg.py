"""VGG 11 to 19, with and without batch norm.

Very Deep Convolutional Networks for Large-Scale Image Recognition, Simonyan and Zisserman, 2014,
arXiv 1409.1556: configurations A, B, D and E of its table 1.

Batch norm is torchvision's addition, between a convolution, which keeps its bias, and its ReLU.
Before the first dense layer the features are averaged to 7×7, as in torchvision; this changes
nothing at the paper's size. The profiles differ in how pixels are scaled: keras.applications only
subtracts Caffe's means.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import ConvAct, ConvNormAct, MaxPool
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import TENSORFLOW, ModelConfig, Paper, Profile
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names import applications
from keras_effnets.weights.names.rule import Rule, Source, biased, conv_norm, hidden_top

FILTERS = (64, 128, 256, 512, 512)
"""Filters of each stage's convolutions."""
A, B = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2)
D, E = (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)
"""Convolutions in each stage."""
TOP_SIDE = 7

_TENSORFLOW = replace(TENSORFLOW, mean=(123.68, 116.779, 103.939), std=(1.0, 1.0, 1.0))


class VGGConv(NamedTuple):
    """One 3×3 convolution."""

    name: str
    filters: int
    pool: str | None
    """Name of the pooling after it; None except at the end of a stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VGGConfig(ModelConfig):
    """A VGG for ImageNet."""

    family: ClassVar[str] = "VGG"
    paper: ClassVar[Paper] = Paper(
        "Very Deep Convolutional Networks for Large-Scale Image Recognition",
        "Simonyan and Zisserman",
        2014,
        "https://arxiv.org/abs/1409.1556",
    )
    min_side: ClassVar[int] = 32
    head: ClassVar[tuple[str, ...]] = ("fc6", "fc7", "classifier")

    side: int = 224
    dropout: float = 0.5
    tensorflow: Profile = _TENSORFLOW
    repeats: tuple[int, ...]
    batch_norm: bool = False
    filters: tuple[int, ...] = FILTERS
    hidden: int = 4096
    """Units of each of the two dense layers before the classifier."""


VARIANTS = (
    VGGConfig(name="vgg11", repeats=A),
    VGGConfig(name="vgg13", repeats=B),
    VGGConfig(name="vgg16", repeats=D),
    VGGConfig(name="vgg19", repeats=E),
    VGGConfig(name="vgg11_bn", repeats=A, batch_norm=True),
    VGGConfig(name="vgg13_bn", repeats=B, batch_norm=True),
    VGGConfig(name="vgg16_bn", repeats=D, batch_norm=True),
    VGGConfig(name="vgg19_bn", repeats=E, batch_norm=True),
)


def plan(config: VGGConfig) -> Iterator[VGGConv]:
    """Yields every convolution of the network, in order."""
    for stage, (filters, repeats) in enumerate(zip(config.filters, config.repeats, strict=True), 1):
        for index in range(1, repeats + 1):
            yield VGGConv(
                f"conv{stage}_{index}", filters, f"pool{stage}" if index == repeats else None
            )


def build(config: VGGConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments."""
    shared = config.conventions.layer_options
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = interface.preprocess(pixels, config.input_preset)
    for layer in plan(config):
        if config.batch_norm:
            x = ConvNormAct(layer.filters, use_bias=True, **shared, name=layer.name)(x)
        else:
            x = ConvAct(layer.filters, padding=shared["padding"], name=layer.name)(x)
        if layer.pool:
            x = MaxPool(2, name=layer.pool)(x)
    return interface.finish_hidden(
        pixels,
        x,
        name=config.name,
        side=TOP_SIDE,
        hidden=config.hidden,
        dropout=(0.0, config.dropout, config.dropout),
    )


def _vgg(
    config: VGGConfig, *, dropout: float = 0.5, **common: Unpack[CommonOptions]
) -> keras.Model:
    """Builds a VGG: pixels in, class probabilities out.

    Args:
        dropout: Dropout rate after each hidden dense layer, in [0, 1).
    """
    return create(build, with_options(config, dropout=dropout), common)


VGG11 = builder("VGG11", _vgg, VARIANTS[0])
VGG13 = builder("VGG13", _vgg, VARIANTS[1])
VGG16 = builder("VGG16", _vgg, VARIANTS[2])
VGG19 = builder("VGG19", _vgg, VARIANTS[3])
VGG11BN = builder("VGG11BN", _vgg, VARIANTS[4])
VGG13BN = builder("VGG13BN", _vgg, VARIANTS[5])
VGG16BN = builder("VGG16BN", _vgg, VARIANTS[6])
VGG19BN = builder("VGG19BN", _vgg, VARIANTS[7])


def _features(config: VGGConfig) -> Iterator[Rule]:
    number = 0
    for layer in plan(config):
        source = f"features.{number}"
        if config.batch_norm:
            yield from conv_norm(source, f"features.{number + 1}", layer.name)
            yield Rule(f"{source}.bias", f"{layer.name}/conv/bias", "vector")
        else:
            yield from biased(source, f"{layer.name}/conv", "conv")
        number += 2 + config.batch_norm + (layer.pool is not None)


def _torchvision(config: VGGConfig) -> Iterator[Rule]:
    """`features.{n}`, then dense layers `classifier.{n}`."""
    yield from _features(config)
    yield from hidden_top(TOP_SIDE, 0, 3, 6)


def _timm(config: VGGConfig) -> Iterator[Rule]:
    """The hidden layers are convolutions, the first over the whole image."""
    yield from _features(config)
    yield from biased("pre_logits.fc1", "fc6/dense", f"patch:{TOP_SIDE}")
    yield from biased("pre_logits.fc2", "fc7/dense", "squeeze:conv")
    yield from biased("head.fc", "classifier/dense", "dense")


def _keras(config: VGGConfig) -> Iterator[Rule]:
    """`block{stage}_conv{index}`, both from 1; there are no files with batch norms."""
    kind = "bgr"
    for layer in plan(config):
        stage, index = layer.name.removeprefix("conv").split("_")
        yield from applications.biased(f"block{stage}_conv{index}", f"{layer.name}/conv", kind)
        if config.batch_norm:  # refuses files without batch norms
            yield from applications.batch_norm(f"block{stage}_bn{index}", f"{layer.name}/norm")
        kind = "kernel"
    yield from applications.biased("fc1", "fc6/dense", "matrix")
    yield from applications.biased("fc2", "fc7/dense", "matrix")
    yield from applications.biased("predictions", "classifier/dense", "matrix")


VGGConfig.spellings = {
    "torchvision": Source("torch", _torchvision),
    "timm": Source("torch", _timm),
    "keras": Source("tensorflow", _keras, ()),
}
