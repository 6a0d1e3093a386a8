"""The residual networks for CIFAR in the names that torchvision gives to such parts.

Nobody publishes a checkpoint of theirs under one agreed spelling.
"""

from collections.abc import Iterator

from keras_effnets.models import preact_cifar, resnext_cifar
from keras_effnets.models import resnet_cifar as cifar_resnet
from keras_effnets.weights.names.rule import Rule, Source, batch_norm, biased, unit


def _resnet(config: cifar_resnet.CIFARResNetConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`."""
    yield from unit("conv1", "bn1", "stem")
    for block in cifar_resnet.plan(config):
        source = f"layer{block.stage}.{block.index}"
        yield from _convolutions(source, block.name, 2)
        if block.index == 0 and block.stage > 1 and config.layer_shortcut == "projection":
            yield from _projection(source, block.name)
    yield from biased("fc", "classifier/dense", "dense")


def _resnext(config: resnext_cifar.ResNeXtCIFARConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`."""
    yield from unit("conv1", "bn1", "stem")
    for block in resnext_cifar.plan(config):
        source = f"layer{block.stage}.{block.index}"
        yield from _convolutions(source, block.name, 3)
        if block.index == 0:
            yield from _projection(source, block.name)
    yield from biased("fc", "classifier/dense", "dense")


def _convolutions(source: str, target: str, count: int) -> Iterator[Rule]:
    for part in range(1, count + 1):
        yield from unit(f"{source}.conv{part}", f"{source}.bn{part}", f"{target}/conv{part}")


def _projection(source: str, target: str) -> Iterator[Rule]:
    yield from unit(f"{source}.downsample.0", f"{source}.downsample.1", f"{target}/skip")


def _preact(config: preact_cifar.PreActCIFARConfig) -> Iterator[Rule]:
    """The same, each `bn{n}` in front of its `conv{n}`; `downsample` is a bare convolution."""
    convolutions = 2 if isinstance(config, preact_cifar.WideResNetCIFARConfig) else 3
    yield Rule("conv1.weight", "stem/conv/kernel", "conv")
    for block in preact_cifar.plan(config):
        source = f"layer{block.stage}.{block.index}"
        yield from batch_norm(f"{source}.bn1", f"{block.name}/preact/norm")
        for part in range(1, convolutions + 1):
            unit_name = f"{block.name}/conv{part}"
            yield Rule(f"{source}.conv{part}.weight", f"{unit_name}/conv/kernel", "conv")
            if part < convolutions:
                yield from batch_norm(f"{source}.bn{part + 1}", f"{unit_name}/norm")
        if block.index == 0 and (block.stage > 1 or config.expansion > 1):
            yield Rule(f"{source}.downsample.weight", f"{block.name}/skip/conv/kernel", "conv")
    yield from batch_norm("bn", "top/norm")
    yield from biased("fc", "classifier/dense", "dense")


SOURCES = {
    "CIFAR ResNet": {"torch": Source("torch", _resnet)},
    "Stochastic Depth": {"torch": Source("torch", _resnet)},
    "ResNeXt for CIFAR": {"torch": Source("torch", _resnext)},
    "Pre-activation ResNet for CIFAR": {"torch": Source("torch", _preact)},
    "Wide ResNet for CIFAR": {"torch": Source("torch", _preact)},
}
"""By family, and in it by name."""
