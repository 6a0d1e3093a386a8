"""VGG in the names of torchvision, timm and Keras."""

from collections.abc import Iterator

from keras_effnets.models.vgg import TOP_SIDE, VGGConfig, plan
from keras_effnets.weights.names import applications as keras
from keras_effnets.weights.names.rule import Rule, Source, biased, unit
from weights_tools.rules.sequential import hidden_top


def _features(config: VGGConfig) -> Iterator[Rule]:
    number = 0
    for layer in plan(config):
        source = f"features.{number}"
        if config.batch_norm:
            yield from unit(source, f"features.{number + 1}", layer.name)
            yield Rule(f"{source}.bias", f"{layer.name}/conv/bias", "vector")
        else:
            yield from biased(source, f"{layer.name}/conv", "conv")
        number += 2 + config.batch_norm + (layer.pool is not None)


def torchvision(config: VGGConfig) -> Iterator[Rule]:
    """`features.{n}`, and a classifier of dense layers."""
    yield from _features(config)
    yield from hidden_top(TOP_SIDE, 0, 3, 6)


def _timm(config: VGGConfig) -> Iterator[Rule]:
    """Hidden layers are convolutions there, the first over the whole picture."""
    yield from _features(config)
    yield from biased("pre_logits.fc1", "fc6/dense", f"patch:{TOP_SIDE}")
    yield from biased("pre_logits.fc2", "fc7/dense", "squeeze:conv")
    yield from biased("head.fc", "classifier/dense", "dense")


def _keras(config: VGGConfig) -> Iterator[Rule]:
    """`block{stage}_conv{index}`, both from one; there is none with batch norm."""
    kind = "bgr"
    for layer in plan(config):
        stage, index = layer.name.removeprefix("conv").split("_")
        yield from keras.biased(f"block{stage}_conv{index}", f"{layer.name}/conv", kind)
        if config.batch_norm:  # so that a file without is refused
            yield from keras.batch_norm(f"block{stage}_bn{index}", f"{layer.name}/norm")
        kind = "kernel"
    yield from keras.biased("fc1", "fc6/dense", "matrix")
    yield from keras.biased("fc2", "fc7/dense", "matrix")
    yield from keras.biased("predictions", "classifier/dense", "matrix")


TORCH = {"torchvision": Source("torch", torchvision), "timm": Source("torch", _timm)}
SOURCES = {**TORCH, "keras": Source("tensorflow", _keras, ())}
