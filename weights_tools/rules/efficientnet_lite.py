"""EfficientNet-Lite in the names of efficientnet_pytorch and timm."""

from collections.abc import Iterator

from keras_effnets.models.efficientnet_lite import EfficientNetLiteConfig, plan
from keras_effnets.weights.names import timm
from keras_effnets.weights.names.rule import Rule, Source
from weights_tools.rules.efficientnet import efficientnet_pytorch


def _efficientnet_pytorch(config: EfficientNetLiteConfig) -> Iterator[Rule]:
    return efficientnet_pytorch(plan(config), squeeze_excite=False)


def _timm(config: EfficientNetLiteConfig) -> Iterator[Rule]:
    return timm.rules(plan(config))


SOURCES = {
    "efficientnet_pytorch": Source("tensorflow", _efficientnet_pytorch),
    **timm.sources(_timm, tf_colours=timm.INCEPTION),
}
