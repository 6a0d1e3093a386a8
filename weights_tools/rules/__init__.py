"""How each family's checkpoints are spelled: one module a family."""

from keras_effnets.plan.config import ModelConfig
from keras_effnets.weights.names.rule import Foreign, Rule, Source, transform, transformed_shape
from weights_tools.rules import (
    alexnet,
    cifar,
    densenet,
    efficientnet,
    efficientnet_lite,
    efficientnet_v2,
    googlenet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nin,
    preact_resnet,
    resnet,
    squeezenet,
    vgg,
    zfnet,
)

__all__ = ["SOURCES", "Foreign", "Rule", "Source", "sources_of", "transform", "transformed_shape"]

SOURCES: dict[str, dict[str, Source]] = {
    "AlexNet": alexnet.SOURCES,
    "Network In Network": nin.SOURCES,
    "SqueezeNet": squeezenet.SOURCES,
    "VGG": vgg.SOURCES,
    "ZFNet": zfnet.SOURCES,
    "DenseNet": densenet.SOURCES,
    "EfficientNet": efficientnet.SOURCES,
    "EfficientNet-Lite": efficientnet_lite.SOURCES,
    "EfficientNetV2": efficientnet_v2.SOURCES,
    "GoogLeNet": googlenet.SOURCES,
    "MobileNetV1": mobilenet_v1.SOURCES,
    "MobileNetV2": mobilenet_v2.SOURCES,
    "MobileNetV3": mobilenet_v3.SOURCES,
    "Pre-activation ResNet": preact_resnet.SOURCES,
    **cifar.SOURCES,
    **resnet.SOURCES,
}
"""Sources by family, and in it by name."""


def sources_of(config: ModelConfig) -> dict[str, Source]:
    """The spellings in which this network's checkpoints come."""
    return SOURCES[config.family]
