"""MobileNetV2 in the names of torchvision, timm and Keras."""

from collections.abc import Iterator

from keras_effnets.models.mobilenet_v2 import MobileNetV2Config, plan
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names import timm
from keras_effnets.weights.names.rule import Rule, Source, biased, unit


def torchvision(config: MobileNetV2Config) -> Iterator[Rule]:
    """`features.{n}.conv.{part}`, blocks counted through all stages from 1."""
    yield from unit("features.0.0", "features.0.1", "stem")
    number = 0
    for number, block in enumerate(plan(config), start=1):
        source = f"features.{number}.conv"
        part = 0
        if block.expansion != 1:
            yield from unit(f"{source}.0.0", f"{source}.0.1", f"{block.name}/expand")
            part = 1
        yield from unit(
            f"{source}.{part}.0", f"{source}.{part}.1", f"{block.name}/depthwise", "depthwise"
        )
        # The linear projection has no activation, so it is not wrapped as the others are.
        yield from unit(f"{source}.{part + 1}", f"{source}.{part + 2}", f"{block.name}/project")
    yield from unit(f"features.{number + 1}.0", f"features.{number + 1}.1", "top")
    yield from biased("classifier.1", "classifier/dense", "dense")


def _timm(config: MobileNetV2Config) -> Iterator[Rule]:
    return timm.rules(plan(config))


def _keras(config: MobileNetV2Config) -> Iterator[Rule]:
    """`block_{n}_{part}`, but for the first block and the stem."""
    yield from keras.unit("Conv1", "bn_Conv1", "stem")
    for number, block in enumerate(plan(config)):
        source = f"block_{number}" if number else "expanded_conv"
        for part in ("expand", "depthwise", "project"):
            if part != "expand" or block.expansion != 1:
                yield from keras.unit(
                    f"{source}_{part}", f"{source}_{part}_BN", f"{block.name}/{part}"
                )
    yield from keras.unit("Conv_1", "Conv_1_bn", "top")
    yield from keras.biased("predictions", "classifier/dense", "matrix")


SOURCES = {
    "torchvision": Source("torch", torchvision),
    **timm.sources(
        _timm, lambda config: f"mobilenetv2_{round(100 * config.alpha):03d}", tf_colours=None
    ),
    "keras": Source("tensorflow", _keras, ()),
}
