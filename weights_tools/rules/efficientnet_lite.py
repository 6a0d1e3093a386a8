"""EfficientNet-Lite in efficientnet_pytorch's names."""

from collections.abc import Iterator

from keras_effnets.models.efficientnet_lite import EfficientNetLiteConfig, plan
from weights_tools.rules.efficientnet import efficientnet_pytorch
from weights_tools.rules.rule import Rule, Source


def _efficientnet_pytorch(config: EfficientNetLiteConfig) -> Iterator[Rule]:
    return efficientnet_pytorch(plan(config), squeeze_excite=False)


SOURCES = {"efficientnet_pytorch": Source("tensorflow", _efficientnet_pytorch)}
