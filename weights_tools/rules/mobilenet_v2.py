"""MobileNetV2 in torchvision's names."""

from collections.abc import Iterator

from keras_effnets.models.mobilenet_v2 import MobileNetV2Config, plan
from weights_tools.rules.rule import Rule, Source, biased, unit


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


SOURCES = {"torchvision": Source("torch", torchvision)}
