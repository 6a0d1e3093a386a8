"""Networks of ours with few hidden units, where those before global pooling have 4096 twice."""

from dataclasses import replace
from typing import Any

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.models import alexnet, vgg, zfnet
from keras_effnets.models.builder import create
from keras_effnets.models.registry import create_model, get_builder

HIDDEN = 64
UNSCALED = Preset(crop=224, resize=256, std=(1.0, 1.0, 1.0))
"""Of the networks with local response normalisation, which matters for large values only."""
MODULES: dict[str, Any] = {"AlexNet": alexnet, "ZFNet": zfnet, "VGG": vgg}


def config_of(name: str) -> Any:
    """The config of the network `name`, with `HIDDEN` units in each hidden layer."""
    config = get_builder(name).config
    if config.family in MODULES:
        config = replace(config, hidden=HIDDEN)
    if config.family == "ZFNet" or getattr(config, "lrn", False):
        config = replace(config, preset=UNSCALED)
    return config


def build(name: str, **options: Any) -> keras.Model:
    """The network of `config_of`: but for the hidden layers it is whole."""
    config = config_of(name)
    if config.family not in MODULES:
        return create_model(name, **options)
    return create(MODULES[config.family].build, config, options)
