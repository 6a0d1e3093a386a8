"""GoogLeNet, the first Inception network: torchvision's version and the paper's.

Going Deeper with Convolutions, Szegedy et al., 2014, arXiv 1409.4842. The rows are those of the
paper's Table 1. `InceptionV1` follows the paper: biases, local response normalisation with Caffe's
constants, 5×5 kernels, images minus their mean. `GoogLeNet` is torchvision's, which descends from
TF-slim: batch norms, no local response normalisation, 3×3 kernels in the 5×5 branch, 2×2 pooling
before the last two blocks, and pixels from -1 to 1. All pooling between blocks rounds up.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Unpack

import keras

from keras_effnets.layers import (
    AuxiliaryClassifier,
    ConvAct,
    ConvNormAct,
    Inception,
    LocalResponseNormalization,
    MaxPool,
)
from keras_effnets.models.builder import CommonOptions, builder, create, with_options
from keras_effnets.plan.config import (
    HALF_RANGE,
    TENSORFLOW,
    TORCH,
    ModelConfig,
    Paper,
    Profile,
    is_number,
)
from keras_effnets.plan.interface import Interface
from keras_effnets.weights.names.rule import Rule, Source, biased, conv_norm

GOOGLENET_LOSS_WEIGHTS = {"classifier": 1.0, "aux1": 0.3, "aux2": 0.3}
"""The paper's loss weights by output, for `compile(loss_weights=...)` with `aux_heads=True`."""


class InceptionRow(NamedTuple):
    """One block of the table."""

    name: str
    filters: tuple[int, int, int, int, int, int]
    """Channels, in the order of `Inception`'s argument."""
    after: str | None = None
    """Name of an auxiliary classifier on the block's output."""


TABLE = (
    InceptionRow("inception3a", (64, 96, 128, 16, 32, 32)),
    InceptionRow("inception3b", (128, 128, 192, 32, 96, 64)),
    InceptionRow("inception4a", (192, 96, 208, 16, 48, 64), "aux1"),
    InceptionRow("inception4b", (160, 112, 224, 24, 64, 64)),
    InceptionRow("inception4c", (128, 128, 256, 24, 64, 64)),
    InceptionRow("inception4d", (112, 144, 288, 32, 64, 64), "aux2"),
    InceptionRow("inception4e", (256, 160, 320, 32, 128, 128)),
    InceptionRow("inception5a", (256, 160, 320, 32, 128, 128)),
    InceptionRow("inception5b", (384, 192, 384, 48, 128, 128)),
)

_TORCH = replace(TORCH, epsilon=1e-3, mean=HALF_RANGE, std=HALF_RANGE)
_TENSORFLOW = replace(TENSORFLOW, mean=HALF_RANGE, std=HALF_RANGE)
_CAFFE_MEAN, _ONES = (123.0, 117.0, 104.0), (1.0, 1.0, 1.0)
_PAPER_TORCH = replace(TORCH, mean=_CAFFE_MEAN, std=_ONES)
_PAPER_TENSORFLOW = replace(TENSORFLOW, mean=_CAFFE_MEAN, std=_ONES)


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogLeNetConfig(ModelConfig):
    """A GoogLeNet.

    Raises:
        ValueError: `aux_dropout` is outside [0, 1).
    """

    family: ClassVar[str] = "GoogLeNet"
    paper: ClassVar[Paper] = Paper(
        "Going Deeper with Convolutions", "Szegedy et al.", 2014, "https://arxiv.org/abs/1409.4842"
    )
    min_side: ClassVar[int] = 15
    head: ClassVar[tuple[str, ...]] = ("classifier", "aux1", "aux2")

    side: int = 224
    dropout: float = 0.2
    torch: Profile = _TORCH
    tensorflow: Profile = _TENSORFLOW
    aux_heads: bool = False
    aux_dropout: float = 0.7
    norm: bool = True
    """Whether convolutions have batch norms, or biases and local response normalisation."""
    widest: int = 3
    """Kernel size of the widest branch."""
    last_pool: int = 2
    """Window of the pooling before stage 5."""

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if not (is_number(self.aux_dropout) and 0 <= self.aux_dropout < 1):
            raise ValueError(f"aux_dropout={self.aux_dropout!r} is not a number in [0, 1)")

    @property
    def conv_options(self) -> dict[str, Any]:
        """Keyword arguments of a `ConvNormAct` or `ConvAct`."""
        used = self.conventions
        return used.layer_options if self.norm else {"padding": used.padding}

    @property
    def block_options(self) -> dict[str, Any]:
        """Keyword arguments of an `Inception` or `AuxiliaryClassifier`."""
        return {"norm": self.norm, **self.conventions.norm_options}


@dataclass(frozen=True, slots=True, kw_only=True)
class InceptionV1Config(GoogLeNetConfig):
    """The paper's own GoogLeNet."""

    min_side: ClassVar[int] = 31

    dropout: float = 0.4
    torch: Profile = _PAPER_TORCH
    tensorflow: Profile = _PAPER_TENSORFLOW
    norm: bool = False
    widest: int = 5
    last_pool: int = 3


VARIANTS = (GoogLeNetConfig(name="googlenet"), InceptionV1Config(name="inception_v1"))


def plan(config: GoogLeNetConfig) -> Iterator[InceptionRow]:
    """Yields every block of the network, in order, with the auxiliary classifiers in use."""
    for row in TABLE:
        yield row if config.aux_heads else row._replace(after=None)


def _stem(config: GoogLeNetConfig, x: Any) -> Any:
    """Maps (B, H, W, 3) to (B, H / 8, W / 8, 192)."""
    conv = ConvNormAct if config.norm else ConvAct
    pool: dict[str, Any] = {"strides": 2, "ceil_mode": True}

    def normalised(x: Any, name: str) -> Any:
        if config.norm:
            return x
        # Caffe divides its alpha of 1e-4 by the five channels in the sum.
        return LocalResponseNormalization(5, bias=1.0, alpha=2e-5, name=name)(x)

    x = conv(64, 7, strides=2, **config.conv_options, name="conv1")(x)
    x = normalised(MaxPool(3, **pool, name="pool1")(x), "norm1")
    x = conv(64, 1, **config.conv_options, name="conv2")(x)
    x = normalised(conv(192, 3, **config.conv_options, name="conv3")(x), "norm2")
    return MaxPool(3, **pool, name="pool2")(x)


def build(config: GoogLeNetConfig, interface: Interface) -> keras.Model:
    """Builds the network with random weights; a pure function of its arguments.

    With auxiliary classifiers the outputs are a dict: `classifier`, `aux1`, `aux2`.
    """
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = _stem(config, interface.preprocess(pixels, config.input_preset))
    outputs = {}
    for row in plan(config):
        if row.name == "inception4a":
            x = MaxPool(3, strides=2, ceil_mode=True, name="pool3")(x)
        elif row.name == "inception5a":
            x = MaxPool(config.last_pool, strides=2, ceil_mode=True, name="pool4")(x)
        x = Inception(row.filters, widest=config.widest, **config.block_options, name=row.name)(x)
        if row.after and interface.include_top:
            outputs[row.after] = _auxiliary(config, interface, row.after, x)
    model = interface.finish(pixels, x, name=config.name, dropout=config.dropout)
    if not outputs:
        return model
    return interface.close(pixels, {"classifier": model.output, **outputs}, name=config.name)


def _auxiliary(config: GoogLeNetConfig, interface: Interface, name: str, features: Any) -> Any:
    sides = features.shape[1:3]
    if not config.norm and any(side is None or side < 5 for side in sides):
        raise ValueError(
            f"aux_heads=True: {config.name}'s auxiliary classifiers average 5 x 5 windows of the "
            f"features, whose height and width are {sides}: give an input_shape of 79 or more"
        )
    return AuxiliaryClassifier(
        interface.classes,
        dropout_rate=config.aux_dropout,
        activation=interface.classifier_activation,
        adaptive=config.norm,
        **config.block_options,
        name=name,
    )(features)


def _googlenet(
    config: GoogLeNetConfig,
    *,
    aux_heads: bool = False,
    dropout: float | None = None,
    aux_dropout: float | None = None,
    **common: Unpack[CommonOptions],
) -> keras.Model:
    """Builds a GoogLeNet: pixels in, class probabilities out.

    With `aux_heads=True` the output is a dict of probabilities: `classifier`, `aux1`, `aux2`. To
    train with the paper's loss, on labels `{"classifier": y, "aux1": y, "aux2": y}`:

        weights = keras_effnets.GOOGLENET_LOSS_WEIGHTS
        losses = dict.fromkeys(weights, "sparse_categorical_crossentropy")
        model.compile("sgd", losses, loss_weights=weights)

    Afterwards `keras.Model(model.input, model.output["classifier"])` leaves them out.

    Args:
        aux_heads: Whether to add two auxiliary classifiers, on the outputs of 4a and 4d.
        dropout: Dropout rate before the classifier, in [0, 1); None for the variant's.
        aux_dropout: Dropout rate inside the auxiliary classifiers, in [0, 1); None for 0.7.
    """
    config = with_options(config, aux_heads=aux_heads, dropout=dropout, aux_dropout=aux_dropout)
    return create(build, config, common)


GoogLeNet = builder("GoogLeNet", _googlenet, VARIANTS[0])
InceptionV1 = builder("InceptionV1", _googlenet, VARIANTS[1])


BRANCHES = {
    "branch1": "conv1x1",
    "branch2.0": "reduce3x3",
    "branch2.1": "conv3x3",
    "branch3.0": "reduce5x5",
    "branch3.1": "conv5x5",
    "branch4.1": "project",
}


def _torchvision(config: GoogLeNetConfig) -> Iterator[Rule]:
    """`inception3a.branch{n}`; in the paper's network with biases instead of batch norms.

    torchvision's published network maps images that are normalised as for ImageNet to -1 to 1
    first; together that is the preset of the network here. A network that was trained without
    that mapping (`transform_input=False`) needs a preset of its own.
    """
    for number in (1, 2, 3):
        yield from _conv_rules(config, f"conv{number}", f"conv{number}")
    for row in plan(config):
        for source, target in BRANCHES.items():
            yield from _conv_rules(config, f"{row.name}.{source}", f"{row.name}/{target}")
        if row.after:
            yield from _auxiliary_rules(config, row.after)
    yield from biased("fc", "classifier/dense", "dense")


def _conv_rules(config: GoogLeNetConfig, source: str, target: str) -> Iterator[Rule]:
    if config.norm:
        yield from conv_norm(f"{source}.conv", f"{source}.bn", target)
    else:
        yield from biased(f"{source}.conv", f"{target}/conv", "conv")


def _auxiliary_rules(config: GoogLeNetConfig, name: str) -> Iterator[Rule]:
    yield from _conv_rules(config, f"{name}.conv", f"{name}/conv")
    yield from biased(f"{name}.fc1", f"{name}/hidden/dense", "flatten:4")
    yield from biased(f"{name}.fc2", f"{name}/dense", "dense")


def _auxiliary_keys() -> Iterator[str]:
    for config in VARIANTS:
        for name in ("aux1", "aux2"):
            yield from (rule.source for rule in _auxiliary_rules(config, name))


_TORCHVISION_SOURCE = Source("torch", _torchvision, ("num_batches_tracked", *_auxiliary_keys()))
GoogLeNetConfig.spellings = {"torchvision": _TORCHVISION_SOURCE}
InceptionV1Config.spellings = {
    "torchvision": replace(_TORCHVISION_SOURCE, architecture=lambda config: None)
}
"""The published file has untrained auxiliary classifiers: ignored if the network has none."""
