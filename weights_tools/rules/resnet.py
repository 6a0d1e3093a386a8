"""ResNet, Wide ResNet, ResNeXt and SENet in the names of torchvision, timm and Keras."""

from collections.abc import Iterator

from keras_effnets.models.resnet import ResNetConfig, plan
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names.rule import Rule, Source, biased, unit


def torchvision(config: ResNetConfig) -> Iterator[Rule]:
    """`layer{stage}.{index}.conv{n}`; timm's too, which has gates where torchvision has none."""
    yield from unit("conv1", "bn1", "stem")
    for block in plan(config):
        source = f"layer{block.stage}.{block.index}"
        for part in range(1, 3 if config.expansion == 1 else 4):
            yield from unit(
                f"{source}.conv{part}", f"{source}.bn{part}", f"{block.name}/conv{part}"
            )
        if config.reduction:
            gate = f"{block.name}/squeeze_excite"
            yield from biased(f"{source}.se.fc1", f"{gate}/reduce", "conv")
            yield from biased(f"{source}.se.fc2", f"{gate}/expand", "conv")
        if _projects(config, block.stage, block.index):
            yield from unit(
                f"{source}.downsample.0", f"{source}.downsample.1", f"{block.name}/skip"
            )
    yield from biased("fc", "classifier/dense", "dense")


def _projects(config: ResNetConfig, stage: int, index: int) -> bool:
    """Whether a block changes the shape: every stage's first, but a basic net's very first."""
    return config.skip and index == 0 and (stage > 1 or config.expansion > 1)


def _keras(config: ResNetConfig) -> Iterator[Rule]:
    """`conv{stage + 1}_block{index + 1}_{part}`; the shortcut is part 0, and all have biases."""
    yield from _keras_unit("conv1", "stem", "bgr")
    for block in plan(config):
        source = f"conv{block.stage + 1}_block{block.index + 1}"
        if _projects(config, block.stage, block.index):
            yield from _keras_unit(f"{source}_0", f"{block.name}/skip")
        for part in (1, 2, 3):
            yield from _keras_unit(f"{source}_{part}", f"{block.name}/conv{part}")
    yield from keras.biased("predictions", "classifier/dense", "matrix")


def _keras_unit(source: str, target: str, kind: str = "kernel") -> Iterator[Rule]:
    yield from keras.biased(f"{source}_conv", f"{target}/conv", kind)
    yield from keras.batch_norm(f"{source}_bn", f"{target}/norm")


_TORCH = Source("torch", torchvision)
SOURCES = {
    "ResNet": {
        "torchvision": _TORCH,
        "timm": _TORCH,
        "keras": Source("tensorflow", _keras, ()),
    },
    "Wide ResNet": {"torchvision": _TORCH, "timm": _TORCH},
    "ResNeXt": {"torchvision": _TORCH, "timm": _TORCH},
    "SENet": {"timm": _TORCH},
}
"""By family; timm's names are torchvision's, and its gates' own."""
