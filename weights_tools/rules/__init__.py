"""How each family's checkpoints are spelled: one module a family."""

from keras_effnets.models.config import ModelConfig
from weights_tools.rules import efficientnet, efficientnet_lite, mobilenet_v2
from weights_tools.rules.rule import Rule, Source, transform, transformed_shape

__all__ = ["SOURCES", "Rule", "Source", "sources_of", "transform", "transformed_shape"]

SOURCES: dict[str, dict[str, Source]] = {
    "EfficientNet": efficientnet.SOURCES,
    "EfficientNet-Lite": efficientnet_lite.SOURCES,
    "MobileNetV2": mobilenet_v2.SOURCES,
}
"""Sources by family, and in it by name."""


def sources_of(config: ModelConfig) -> dict[str, Source]:
    """The spellings in which this network's checkpoints come."""
    return SOURCES[config.family]
