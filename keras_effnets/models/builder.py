"""The public builders: keywords in, a model with its weights out."""

import inspect
import os
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, TypedDict, TypeVar

import keras

from keras_effnets.plan.config import ModelConfig
from keras_effnets.plan.interface import ImageShape, Interface
from keras_effnets.weights.load import default_weights, load_weights

P = ParamSpec("P")
C = TypeVar("C", bound=ModelConfig)


class CommonOptions(TypedDict, total=False):
    """The keywords that every builder takes, meant as in keras.applications.

    Attributes:
        include_top: Whether the pooling and the classifier close the network.
        weights: None for random ones; `"imagenet"` for the published set of this release; a
            set's own name; or the path of a checkpoint, ours or a foreign one.
        input_tensor: A Keras tensor to use as the pictures, instead of a new input.
        input_shape: (H, W, C) of the pictures; sides may be None.
        pooling: Without top: `"avg"` or `"max"` gives (B, C) features, None (B, H, W, C) ones.
        classes: Number of outputs; by default 1000, or as many as the paper's data has. Other
            than 1000, the classifier starts untrained.
        classifier_activation: `"softmax"`, or None for logits.
        name: Of the model.
        include_preprocessing: Whether the model takes pixels 0-255 and normalises them.
        profile: `"torch"` or `"tensorflow"`; None takes that of the weights.
    """

    include_top: bool
    weights: str | os.PathLike[str] | None
    input_tensor: Any
    input_shape: ImageShape | None
    pooling: Literal["avg", "max"] | None
    classes: int
    classifier_activation: str | None
    name: str | None
    include_preprocessing: bool
    profile: Literal["torch", "tensorflow"] | None


def knobs(config: C, **values: Any) -> C:
    """`config` with those `values` that are not None."""
    return replace(config, **{key: value for key, value in values.items() if value is not None})


def create(build: Callable[[C, Interface], keras.Model], config: C, common: CommonOptions) -> Any:
    """Builds a network as `common` asks, and gives it its weights."""
    known = CommonOptions.__annotations__
    if unknown := [name for name in common if name not in known]:
        raise TypeError(
            f"{config.name}: unexpected keyword {', '.join(unknown)}; every network takes "
            + ", ".join(known)
        )
    options: dict[str, Any] = {
        "weights": default_weights(config.name),
        "classes": config.classes,
        "profile": None,
        **common,
    }
    weights, profile = options.pop("weights"), options.pop("profile")
    return load_weights(build, config, Interface(**options), weights=weights, profile=profile)


class Builder(Protocol[P]):
    """A public builder: keywords in, a model out, and the config of its defaults."""

    __name__: str
    config: ModelConfig

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> keras.Model:
        """Builds the model."""


def builder(name: str, family: Callable[Concatenate[C, P], keras.Model], config: C) -> Builder[P]:
    """The public function `name` that builds one variant of a family.

    Its signature spells out what `**common` stands for.
    """

    def build_variant(*args: P.args, **kwargs: P.kwargs) -> keras.Model:
        return family(config, *args, **kwargs)

    defaults = {
        **{field.name: field.default for field in fields(Interface)},
        "weights": default_weights(config.name),
        "classes": config.classes,
        "profile": None,
    }
    common = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=defaults[key])
        for key in CommonOptions.__annotations__
    ]
    own = list(inspect.signature(family).parameters.values())[1:-1]
    variant: Any = build_variant
    variant.__name__ = variant.__qualname__ = name
    variant.__module__ = type(config).__module__
    variant.__doc__ = family.__doc__
    variant.__signature__ = inspect.Signature([*common, *own])
    variant.config = config
    return variant
