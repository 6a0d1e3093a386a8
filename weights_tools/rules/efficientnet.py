"""EfficientNet in the names of torchvision, efficientnet_pytorch, timm, Keras and efficientnet."""

from collections.abc import Iterable, Iterator
from functools import partial

from keras_effnets.models.efficientnet import EfficientNetConfig, plan
from keras_effnets.plan.config import Block
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names import timm
from keras_effnets.weights.names.rule import Rule, Source, biased, unit


def torchvision(config: EfficientNetConfig) -> Iterator[Rule]:
    """`features.{stage}.{index}.block.{part}`: the parts are numbered by those there are."""
    yield from unit("features.0.0", "features.0.1", "stem")
    for block in plan(config):
        source = f"features.{block.stage}.{block.index}.block"
        part = 0
        if block.expansion != 1:
            yield from unit(f"{source}.0.0", f"{source}.0.1", f"{block.name}/expand")
            part = 1
        depthwise, gate, project = (f"{source}.{part + i}" for i in range(3))
        yield from unit(f"{depthwise}.0", f"{depthwise}.1", f"{block.name}/depthwise", "depthwise")
        yield from biased(f"{gate}.fc1", f"{block.name}/squeeze_excite/reduce", "conv")
        yield from biased(f"{gate}.fc2", f"{block.name}/squeeze_excite/expand", "conv")
        yield from unit(f"{project}.0", f"{project}.1", f"{block.name}/project")
    yield from unit("features.8.0", "features.8.1", "top")
    yield from biased("classifier.1", "classifier/dense", "dense")


def efficientnet_pytorch(blocks: Iterable[Block], *, squeeze_excite: bool) -> Iterator[Rule]:
    """`_blocks.{n}`, counted through all stages."""
    yield from unit("_conv_stem", "_bn0", "stem")
    for number, block in enumerate(blocks):
        source = f"_blocks.{number}"
        if block.expansion != 1:
            yield from unit(f"{source}._expand_conv", f"{source}._bn0", f"{block.name}/expand")
        yield from unit(
            f"{source}._depthwise_conv", f"{source}._bn1", f"{block.name}/depthwise", "depthwise"
        )
        if squeeze_excite:
            gate = f"{block.name}/squeeze_excite"
            yield from biased(f"{source}._se_reduce", f"{gate}/reduce", "conv")
            yield from biased(f"{source}._se_expand", f"{gate}/expand", "conv")
        yield from unit(f"{source}._project_conv", f"{source}._bn2", f"{block.name}/project")
    yield from unit("_conv_head", "_bn1", "top")
    yield from biased("_fc", "classifier/dense", "dense")


def _efficientnet_pytorch(config: EfficientNetConfig) -> Iterator[Rule]:
    return efficientnet_pytorch(plan(config), squeeze_excite=True)


def _timm(config: EfficientNetConfig) -> Iterator[Rule]:
    return timm.rules(plan(config), squeeze_excite=True)


def _keras(config: EfficientNetConfig, head: str) -> Iterator[Rule]:
    """`block{stage}{letter}_{part}`: the names of keras.applications and of their origin.

    Those are of the package `efficientnet` (github.com/qubvel/efficientnet), whose classifier is
    called otherwise, and whose networks want their pictures normalised.
    """
    yield from keras.unit("stem_conv", "stem_bn", "stem")
    for block in plan(config):
        source = f"block{block.stage}{chr(ord('a') + block.index)}"
        if block.expansion != 1:
            yield from keras.unit(
                f"{source}_expand_conv", f"{source}_expand_bn", f"{block.name}/expand"
            )
        yield from keras.unit(f"{source}_dwconv", f"{source}_bn", f"{block.name}/depthwise")
        for part in ("reduce", "expand"):
            gate = f"{block.name}/squeeze_excite/{part}"
            yield from keras.biased(f"{source}_se_{part}", gate, "kernel")
        yield from keras.unit(
            f"{source}_project_conv", f"{source}_project_bn", f"{block.name}/project"
        )
    yield from keras.unit("top_conv", "top_bn", "top")
    yield from keras.biased(head, "classifier/dense", "matrix")


SOURCES = {
    "torchvision": Source("torch", torchvision),
    "efficientnet_pytorch": Source("tensorflow", _efficientnet_pytorch),
    **timm.sources(_timm),
    "keras": Source(
        "tensorflow",
        partial(_keras, head="predictions"),
        keras.NORMALIZATION,
        sign=lambda file: "it has a Normalization" if keras.normalization_of(file) else None,
        preset=keras.preset,
    ),
    "qubvel": Source(
        "tensorflow",
        partial(_keras, head="probs"),
        (),
        sign=lambda file: None if keras.normalization_of(file) else "it has no Normalization",
    ),
}
