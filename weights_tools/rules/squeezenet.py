"""SqueezeNet in torchvision's names."""

from collections.abc import Iterator

from keras_effnets.models.squeezenet import SqueezeNetConfig, plan
from keras_effnets.weights.names.rule import Rule, Source, biased


def torchvision(config: SqueezeNetConfig) -> Iterator[Rule]:
    """A Fire module has one number; its complex bypass, which torchvision lacks, is `bypass`."""
    yield from biased("features.0", "conv1/conv", "conv")
    number = 3  # a ReLU and a pooling
    for fire in plan(config):
        source = f"features.{number}"
        for part in ("squeeze", "expand1x1", "expand3x3"):
            yield from biased(f"{source}.{part}", f"{fire.name}/{part}/conv", "conv")
        if fire.bypass == "complex":
            yield from biased(f"{source}.bypass", f"{fire.name}/skip/conv", "conv")
        number += 1 + (fire.pool is not None)
    yield from biased("classifier.1", "classifier/conv", "conv")


SOURCES = {"torchvision": Source("torch", torchvision)}
