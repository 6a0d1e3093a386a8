"""All networks by name."""

import fnmatch
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import keras

from keras_effnets import models
from keras_effnets.catalog import WEIGHTS, WeightsInfo
from keras_effnets.deferred import count_parameters, outline
from keras_effnets.models.config import ModelConfig, Paper

_BUILDERS = {
    builder.config.name: builder
    for builder in (getattr(models, name) for name in models.__all__)
    if hasattr(builder, "config")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What is known of one network."""

    name: str
    builder: str
    """The public function's name."""
    family: str
    config: ModelConfig
    paper: Paper
    weights: Mapping[str, WeightsInfo]
    """Published sets by name; the first is the one that `weights="imagenet"` takes."""

    @property
    def parameters(self) -> int:
        """Trainable ones, with the 1000-class top: as published, else counted."""
        published = next(iter(self.weights.values()), None)
        return published.parameters if published else parameter_count(self.name)


@functools.cache
def parameter_count(name: str) -> int:
    """Trainable parameters of a network with its 1000-class top, counted without allocating.

    Raises:
        ValueError: For an unknown name.
    """
    return count_parameters(outline(partial(get_builder(name), weights=None)))


def list_models(pattern: str = "*") -> list[str]:
    """Names of all networks, or of those that match a shell pattern such as `"*lite*"`."""
    return [name for name in _BUILDERS if fnmatch.fnmatch(name, pattern)]


def create_model(name: str, /, **options: Any) -> keras.Model:
    """Builds a network by name; `options` are its builder's keywords.

    Raises:
        ValueError: For an unknown name, and as the builder does.
    """
    return get_builder(name)(**options)


def model_info(name: str) -> ModelInfo:
    """The record of one network.

    Raises:
        ValueError: For an unknown name.
    """
    builder = get_builder(name)
    config = builder.config
    return ModelInfo(
        name=name,
        builder=builder.__name__,
        family=config.family,
        config=config,
        paper=config.paper,
        weights={info.name: info for info in WEIGHTS.get(name, ())},
    )


def get_builder(name: str) -> Any:
    """The public function that builds the network `name`; its `config` has the defaults.

    Raises:
        ValueError: For an unknown name.
    """
    if name not in _BUILDERS:
        near = ", ".join(_BUILDERS)
        raise ValueError(f"{name!r} is not the name of a model; there are {near}")
    return _BUILDERS[name]
