"""GoogLeNet, the first Inception network: torchvision's, and the paper's own.

Going Deeper with Convolutions, Szegedy et al., 2014, arXiv 1409.4842. The rows are those of the
paper's Table 1. `InceptionV1` follows it: biases, local response normalisation with Caffe's
constants, 5×5 kernels, pictures less their mean. `GoogLeNet` is torchvision's, which descends from
TF-slim: batch norm, no local response normalisation, 3×3 kernels in the 5×5 branch, a 2×2 pooling
before the last two blocks, and pixels from -1 to 1. All poolings between blocks round up.
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
from keras_effnets.models.builder import CommonOptions, builder, create, knobs
from keras_effnets.plan.config import ModelConfig, Paper, is_number
from keras_effnets.plan.interface import Interface
from keras_effnets.plan.profile import TENSORFLOW, TORCH, Profile
from keras_effnets.weights.names.rule import Rule, Source, biased, conv_norm

GOOGLENET_LOSS_WEIGHTS = {"classifier": 1.0, "aux1": 0.3, "aux2": 0.3}
"""The paper's, by output: what `compile(loss_weights=...)` takes with `aux_heads=True`."""


class Row(NamedTuple):
    """One block of the table."""

    name: str
    filters: tuple[int, int, int, int, int, int]
    """As `Inception` takes them."""
    after: str | None = None
    """An auxiliary classifier on the block's output."""


TABLE = (
    Row("inception3a", (64, 96, 128, 16, 32, 32)),
    Row("inception3b", (128, 128, 192, 32, 96, 64)),
    Row("inception4a", (192, 96, 208, 16, 48, 64), "aux1"),
    Row("inception4b", (160, 112, 224, 24, 64, 64)),
    Row("inception4c", (128, 128, 256, 24, 64, 64)),
    Row("inception4d", (112, 144, 288, 32, 64, 64), "aux2"),
    Row("inception4e", (256, 160, 320, 32, 128, 128)),
    Row("inception5a", (256, 160, 320, 32, 128, 128)),
    Row("inception5b", (384, 192, 384, 48, 128, 128)),
)

_UNIT = {"mean": (127.5, 127.5, 127.5), "std": (127.5, 127.5, 127.5)}
_CAFFE = {"mean": (123.0, 117.0, 104.0), "std": (1.0, 1.0, 1.0)}
_TORCH = replace(TORCH, epsilon=1e-3, mean=_UNIT["mean"], std=_UNIT["std"])
_TENSORFLOW = replace(TENSORFLOW, mean=_UNIT["mean"], std=_UNIT["std"])
_PAPER_TORCH = replace(TORCH, mean=_CAFFE["mean"], std=_CAFFE["std"])
_PAPER_TENSORFLOW = replace(TENSORFLOW, mean=_CAFFE["mean"], std=_CAFFE["std"])


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogLeNetConfig(ModelConfig):
    """A GoogLeNet.

    Raises:
        ValueError: For a dropout rate of the auxiliary classifiers outside [0, 1).
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
    """Batch norm behind each convolution; without, biases and local response normalisation."""
    widest: int = 3
    """Side of the kernel in the widest branch."""
    last_pool: int = 2
    """Side of the window before stage 5."""

    def __post_init__(self) -> None:
        ModelConfig.__post_init__(self)
        if not (is_number(self.aux_dropout) and 0 <= self.aux_dropout < 1):
            raise ValueError(f"aux_dropout={self.aux_dropout!r} is not a number in [0, 1)")

    @property
    def unit(self) -> dict[str, Any]:
        """Arguments of a convolution with its ReLU."""
        unit = self.habits.unit
        return unit if self.norm else {"padding": unit["padding"]}

    @property
    def block(self) -> dict[str, Any]:
        """Arguments of whatever holds such convolutions, all without a stride."""
        unit = self.habits.unit
        return {"norm": self.norm, "epsilon": unit["epsilon"], "momentum": unit["momentum"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class InceptionV1Config(GoogLeNetConfig):
    """The paper's GoogLeNet."""

    min_side: ClassVar[int] = 31

    dropout: float = 0.4
    torch: Profile = _PAPER_TORCH
    tensorflow: Profile = _PAPER_TENSORFLOW
    norm: bool = False
    widest: int = 5
    last_pool: int = 3


VARIANTS = (GoogLeNetConfig(name="googlenet"), InceptionV1Config(name="inception_v1"))


def plan(config: GoogLeNetConfig) -> Iterator[Row]:
    """Every block of the network, in order; the auxiliary classifiers that it has."""
    for row in TABLE:
        yield row if config.aux_heads else row._replace(after=None)


def _stem(config: GoogLeNetConfig, x: Any) -> Any:
    """(B, H, W, 3) to (B, H / 8, W / 8, 192)."""
    unit = ConvNormAct if config.norm else ConvAct
    pool: dict[str, Any] = {"strides": 2, "ceil_mode": True}

    def normalised(x: Any, name: str) -> Any:
        if config.norm:
            return x
        # Caffe divides its alpha of 1e-4 by the five channels in the sum.
        return LocalResponseNormalization(5, bias=1.0, alpha=2e-5, name=name)(x)

    x = unit(64, 7, strides=2, **config.unit, name="conv1")(x)
    x = normalised(MaxPool(3, **pool, name="pool1")(x), "norm1")
    x = unit(64, 1, **config.unit, name="conv2")(x)
    x = normalised(unit(192, 3, **config.unit, name="conv3")(x), "norm2")
    return MaxPool(3, **pool, name="pool2")(x)


def build(config: GoogLeNetConfig, interface: Interface) -> keras.Model:
    """The network with random weights: a pure function of its arguments.

    With auxiliary classifiers its outputs are a dict: `classifier`, `aux1`, `aux2`.
    """
    pixels = interface.pixels(config.input_preset, config.min_side)
    x = _stem(config, interface.preprocess(pixels, config.input_preset))
    outputs = {}
    for row in plan(config):
        if row.name == "inception4a":
            x = MaxPool(3, strides=2, ceil_mode=True, name="pool3")(x)
        elif row.name == "inception5a":
            x = MaxPool(config.last_pool, strides=2, ceil_mode=True, name="pool4")(x)
        x = Inception(row.filters, widest=config.widest, **config.block, name=row.name)(x)
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
            f"aux_heads=True: {config.name}'s auxiliary classifiers average windows of 5 x 5 of "
            f"the features, which have sides {sides}: give an input_shape of 79 or more"
        )
    return AuxiliaryClassifier(
        interface.classes,
        dropout_rate=config.aux_dropout,
        activation=interface.classifier_activation,
        adaptive=config.norm,
        **config.block,
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
    """A GoogLeNet, pixels in and class probabilities out.

    With `aux_heads=True` the output is a dict of probabilities: `classifier`, `aux1`, `aux2`. To
    train with the paper's loss, on labels `{"classifier": y, "aux1": y, "aux2": y}`:

        weights = keras_effnets.GOOGLENET_LOSS_WEIGHTS
        losses = dict.fromkeys(weights, "sparse_categorical_crossentropy")
        model.compile("sgd", losses, loss_weights=weights)

    Afterwards `keras.Model(model.input, model.output["classifier"])` is the network without them.

    Args:
        aux_heads: Whether there are two auxiliary classifiers too, on the outputs of 4a and 4d.
        dropout: Before the classifier, in [0, 1); None takes the variant's.
        aux_dropout: Inside the auxiliary classifiers, in [0, 1); 0.7 by default.
        **common: As for every builder, see `keras_effnets.models.CommonOptions`.

    Returns:
        A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or weights that are not there.
    """
    config = knobs(config, aux_heads=aux_heads, dropout=dropout, aux_dropout=aux_dropout)
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


def torchvision(config: GoogLeNetConfig) -> Iterator[Rule]:
    """`inception3a.branch{n}`; the paper's network too, with biases for batch norms.

    torchvision's published network takes pictures as for ImageNet and maps them to -1 to 1 first,
    which together is the preset of the network here. One that was trained without that mapping
    (`transform_input=False`) needs its own.
    """
    for number in (1, 2, 3):
        yield from _unit(config, f"conv{number}", f"conv{number}")
    for row in plan(config):
        for source, target in BRANCHES.items():
            yield from _unit(config, f"{row.name}.{source}", f"{row.name}/{target}")
        if row.after:
            yield from _auxiliary_names(config, row.after)
    yield from biased("fc", "classifier/dense", "dense")


def _unit(config: GoogLeNetConfig, source: str, target: str) -> Iterator[Rule]:
    if config.norm:
        yield from conv_norm(f"{source}.conv", f"{source}.bn", target)
    else:
        yield from biased(f"{source}.conv", f"{target}/conv", "conv")


def _auxiliary_names(config: GoogLeNetConfig, name: str) -> Iterator[Rule]:
    yield from _unit(config, f"{name}.conv", f"{name}/conv")
    yield from biased(f"{name}.fc1", f"{name}/hidden/dense", "flatten:4")
    yield from biased(f"{name}.fc2", f"{name}/dense", "dense")


def _auxiliary_keys() -> Iterator[str]:
    for config in VARIANTS:
        for name in ("aux1", "aux2"):
            yield from (rule.source for rule in _auxiliary_names(config, name))


_TORCHVISION = Source("torch", torchvision, ("num_batches_tracked", *_auxiliary_keys()))
GoogLeNetConfig.spellings = {"torchvision": _TORCHVISION}
InceptionV1Config.spellings = {
    "torchvision": replace(_TORCHVISION, architecture=lambda config: None)
}
"""The published file has auxiliary classifiers, untrained: left out where the network has none."""
