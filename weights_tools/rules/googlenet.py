"""GoogLeNet in the names of torchvision."""

from collections.abc import Iterator

from keras_effnets.models.googlenet import VARIANTS, GoogLeNetConfig, plan
from keras_effnets.weights.names.rule import Rule, Source, biased, unit

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
            yield from _auxiliary(config, row.after)
    yield from biased("fc", "classifier/dense", "dense")


def _unit(config: GoogLeNetConfig, source: str, target: str) -> Iterator[Rule]:
    if config.norm:
        yield from unit(f"{source}.conv", f"{source}.bn", target)
    else:
        yield from biased(f"{source}.conv", f"{target}/conv", "conv")


def _auxiliary(config: GoogLeNetConfig, name: str) -> Iterator[Rule]:
    yield from _unit(config, f"{name}.conv", f"{name}/conv")
    yield from biased(f"{name}.fc1", f"{name}/hidden/dense", "flatten:4")
    yield from biased(f"{name}.fc2", f"{name}/dense", "dense")


def _auxiliary_keys() -> Iterator[str]:
    for config in VARIANTS:
        for name in ("aux1", "aux2"):
            yield from (rule.source for rule in _auxiliary(config, name))


SOURCES = {
    "torchvision": Source("torch", torchvision, ("num_batches_tracked", *_auxiliary_keys())),
}
"""The published file has auxiliary classifiers, untrained: left out where the network has none."""
