"""AlexNet in torchvision's names."""

from collections.abc import Iterator

from keras_effnets.models.alexnet import TOP_SIDE, AlexNetConfig, plan
from keras_effnets.weights.names.rule import Rule, Source, biased
from weights_tools.rules.sequential import hidden_top


def torchvision(config: AlexNetConfig) -> Iterator[Rule]:
    """The network of 2012 has the same names, its normalisations counted as modules too."""
    number = 0
    for row, _, normalised in plan(config):
        yield from biased(f"features.{number}", f"{row.name}/conv", "conv")
        number += 2 + normalised + row.pooled
    yield from hidden_top(TOP_SIDE, 1, 4, 6)


SOURCES = {"torchvision": Source("torch", torchvision)}
