"""DenseNet in the names of torchvision, timm and Keras."""

from collections.abc import Iterator
from functools import partial

from keras_effnets.models.densenet import DenseNetConfig, plan
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names.rule import Rule, Source, batch_norm, biased


def torchvision(config: DenseNetConfig, dot: str = "") -> Iterator[Rule]:
    """`features.denseblock{stage}.denselayer{layer}.{part}{n}`, stages and layers from one.

    The files that torchvision publishes have a `dot` between part and number.
    """
    yield Rule("features.conv0.weight", "stem/conv/kernel", "conv")
    if config.large_stem:
        yield from batch_norm("features.norm0", "stem/norm")
    last = 0
    for last, stage in enumerate(plan(config), start=1):
        for layer in range(stage.repeats):
            source = f"features.denseblock{last}.denselayer{layer + 1}"
            for part in (1, 2) if config.bottleneck else (1,):
                target = f"{stage.name}/layer{layer}/conv{part}"
                yield from batch_norm(f"{source}.norm{dot}{part}", f"{target}/norm")
                yield Rule(f"{source}.conv{dot}{part}.weight", f"{target}/conv/kernel", "conv")
        if stage.transition:
            source = f"features.{stage.transition}"
            yield from batch_norm(f"{source}.norm", f"{stage.transition}/norm")
            yield Rule(f"{source}.conv.weight", f"{stage.transition}/conv/kernel", "conv")
    yield from batch_norm(f"features.norm{last + 1}", "top/norm")
    yield from biased("classifier", "classifier/dense", "dense")


def _keras(config: DenseNetConfig) -> Iterator[Rule]:
    """`conv{stage + 1}_block{layer}_{part}_{kind}`; the batch norm of part 1 is part 0's."""
    yield Rule("conv1_conv/kernel", "stem/conv/kernel", "kernel")
    if config.large_stem:
        yield from keras.batch_norm("conv1_bn", "stem/norm")
    for number, stage in enumerate(plan(config), start=2):
        for layer in range(stage.repeats):
            source = f"conv{number}_block{layer + 1}"
            for part in (1, 2) if config.bottleneck else (1,):
                target = f"{stage.name}/layer{layer}/conv{part}"
                yield from keras.unit(f"{source}_{part}_conv", f"{source}_{part - 1}_bn", target)
        if stage.transition:
            pool = f"pool{number}"
            yield from keras.unit(f"{pool}_conv", f"{pool}_bn", stage.transition)
    yield from keras.batch_norm("bn", "top/norm")
    yield from keras.biased("predictions", "classifier/dense", "matrix")


_TORCH = Source("torch", torchvision)
SOURCES = {
    "torchvision": _TORCH,
    "torchvision_legacy": Source("torch", partial(torchvision, dot=".")),
    "timm": _TORCH,
    "keras": Source("tensorflow", _keras, ()),
}
"""timm's names are torchvision's; the files that torchvision publishes have older ones."""
