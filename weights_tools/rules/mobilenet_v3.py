"""MobileNetV3 in the names of torchvision, timm and Keras."""

from collections.abc import Iterator

from keras_effnets.models.mobilenet_v3 import MobileNetV3Config, plan
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names import timm
from keras_effnets.weights.names.rule import Rule, Source, biased, unit


def torchvision(config: MobileNetV3Config) -> Iterator[Rule]:
    """`features.{n}.block.{part}`, blocks counted from 1, parts numbered by those there are."""
    yield from unit("features.0.0", "features.0.1", "stem")
    number = 0
    for number, block in enumerate(plan(config), start=1):
        source, part = f"features.{number}.block", 0
        if block.expansion != 1:
            yield from unit(f"{source}.0.0", f"{source}.0.1", f"{block.name}/expand")
            part = 1
        depthwise = f"{source}.{part}"
        yield from unit(f"{depthwise}.0", f"{depthwise}.1", f"{block.name}/depthwise", "depthwise")
        if block.squeeze_filters:
            part += 1
            for theirs, ours in (("fc1", "reduce"), ("fc2", "expand")):
                gate = f"{block.name}/squeeze_excite/{ours}"
                yield from biased(f"{source}.{part}.{theirs}", gate, "conv")
        project = f"{source}.{part + 1}"
        yield from unit(f"{project}.0", f"{project}.1", f"{block.name}/project")
    yield from unit(f"features.{number + 1}.0", f"features.{number + 1}.1", "top")
    yield from biased("classifier.0", "hidden/dense", "dense")
    yield from biased("classifier.3", "classifier/dense", "dense")


def _timm(config: MobileNetV3Config) -> Iterator[Rule]:
    """The last convolution is a stage of its own; the hidden layer a 1×1 convolution."""
    yield from unit("conv_stem", "bn1", "stem")
    last = 0
    for block in plan(config):
        yield from timm.mobile(block, squeeze_excite=block.squeeze_filters > 0)
        last = block.stage
    yield from unit(f"blocks.{last}.0.conv", f"blocks.{last}.0.bn1", "top")
    yield from biased("conv_head", "hidden/dense", "squeeze:conv")
    yield from biased("classifier", "classifier/dense", "dense")


def _timm_name(config: MobileNetV3Config) -> str:
    size = "small" if "small" in config.name else "large"
    kind = "minimal_" if config.minimalistic else ""
    return f"mobilenetv3_{size}_{kind}{round(100 * config.alpha):03d}"


def _keras(config: MobileNetV3Config) -> Iterator[Rule]:
    """`expanded_conv_{n}_{part}`, the first block without its number; the head is of 1×1s."""
    yield from keras.unit("conv", "conv_bn", "stem")
    for number, block in enumerate(plan(config)):
        source = f"expanded_conv_{number}" if number else "expanded_conv"
        for part in ("expand", "depthwise", "project"):
            if part != "expand" or block.expansion != 1:
                yield from keras.unit(
                    f"{source}_{part}", f"{source}_{part}_bn", f"{block.name}/{part}"
                )
        if block.squeeze_filters:
            gate = f"{block.name}/squeeze_excite"
            yield from keras.biased(f"{source}_squeeze_excite_conv", f"{gate}/reduce", "kernel")
            yield from keras.biased(f"{source}_squeeze_excite_conv_1", f"{gate}/expand", "kernel")
    yield from keras.unit("conv_1", "conv_1_bn", "top")
    yield from keras.biased("conv_2", "hidden/dense", "squeeze:kernel")
    yield from keras.biased("logits", "classifier/dense", "squeeze:kernel")


SOURCES = {
    "torchvision": Source("torch", torchvision),
    **timm.sources(_timm, _timm_name, tf_colours=timm.INCEPTION),
    "keras": Source("tensorflow", _keras, ()),
}
