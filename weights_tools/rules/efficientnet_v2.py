"""EfficientNetV2 in the names of torchvision, timm and Keras."""

from collections.abc import Iterator

from keras_effnets.models.efficientnet_v2 import FUSED_STAGES, EfficientNetV2Config, plan
from keras_effnets.plan.config import Block
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names import timm
from keras_effnets.weights.names.rule import Rule, Source, biased, unit


def torchvision(config: EfficientNetV2Config) -> Iterator[Rule]:
    """`features.{stage}.{index}.block.{part}`: the parts are numbered by those there are."""
    yield from unit("features.0.0", "features.0.1", "stem")
    for block in plan(config):
        source = f"features.{block.stage}.{block.index}.block"
        parts = _parts(block)
        for number, part in enumerate(parts):
            target = f"{block.name}/{part}"
            if part == "squeeze_excite":
                yield from biased(f"{source}.{number}.fc1", f"{target}/reduce", "conv")
                yield from biased(f"{source}.{number}.fc2", f"{target}/expand", "conv")
            else:
                kind = "depthwise" if part == "depthwise" else "conv"
                yield from unit(f"{source}.{number}.0", f"{source}.{number}.1", target, kind)
    top = f"features.{len(config.stages) + 1}"
    yield from unit(f"{top}.0", f"{top}.1", "top")
    yield from biased("classifier.1", "classifier/dense", "dense")


def _parts(block: Block) -> tuple[str, ...]:
    """What a block is made of, in order."""
    if block.stage > FUSED_STAGES:
        return ("expand", "depthwise", "squeeze_excite", "project")
    return ("fused",) if block.expansion == 1 else ("fused", "project")


def _timm(config: EfficientNetV2Config) -> Iterator[Rule]:
    """A fused block that does not expand is `conv`; one that does, `conv_exp` and `conv_pwl`."""
    yield from unit("conv_stem", "bn1", "stem")
    for block in plan(config):
        source = timm.place(block)
        if block.stage > FUSED_STAGES:
            yield from timm.mobile(block, squeeze_excite=True)
        elif block.expansion == 1:
            yield from unit(f"{source}.conv", f"{source}.bn1", f"{block.name}/fused")
        else:
            yield from unit(f"{source}.conv_exp", f"{source}.bn1", f"{block.name}/fused")
            yield from unit(f"{source}.conv_pwl", f"{source}.bn2", f"{block.name}/project")
    yield from unit("conv_head", "bn2", "top")
    yield from biased("classifier", "classifier/dense", "dense")


def _keras(config: EfficientNetV2Config) -> Iterator[Rule]:
    """`block{stage}{letter}_{part}`; a fused block that does not expand is a projection there."""
    yield from keras.unit("stem_conv", "stem_bn", "stem")
    for block in plan(config):
        source = f"block{block.stage}{chr(ord('a') + block.index)}"
        for part in _parts(block):
            target = f"{block.name}/{part}"
            if part == "squeeze_excite":
                for gate in ("reduce", "expand"):
                    yield from keras.biased(f"{source}_se_{gate}", f"{target}/{gate}", "kernel")
                continue
            conv, norm = f"{part}_conv", f"{part}_bn"
            if part == "depthwise":
                conv, norm = "dwconv2", "bn"
            elif part == "fused":
                role = "project" if block.expansion == 1 else "expand"
                conv, norm = f"{role}_conv", f"{role}_bn"
            yield from keras.unit(f"{source}_{conv}", f"{source}_{norm}", target)
    yield from keras.unit("top_conv", "top_bn", "top")
    yield from keras.biased("predictions", "classifier/dense", "matrix")


SOURCES = {
    "torchvision": Source("torch", torchvision),
    **timm.sources(
        _timm,
        lambda config: config.name.replace("efficientnet_v2", "efficientnetv2"),
        tf_colours=timm.INCEPTION,
    ),
    "keras": Source("tensorflow", _keras, ()),
}
