"""The public builders, which turn options into a model with weights."""

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
    """The options of every builder; their meanings are those of keras.applications.

    Attributes:
        include_top: Whether the network ends in pooling and the classifier.
        weights: None for random weights; `"imagenet"` for the published set of this release; the
            name of another published set; or the path of a checkpoint, of this package or of
            another library.
        input_tensor: A Keras tensor to use as the images, instead of a new input.
        input_shape: (H, W, C) of the images; H and W may be None.
        pooling: Without top, `"avg"` or `"max"` gives (B, C) features; None gives (B, H, W, C).
        classes: Number of outputs; by default 1000, or the number of classes of the paper's data.
            With any other number the classifier starts untrained.
        classifier_activation: `"softmax"`, or None for logits.
        name: Name of the model.
        include_preprocessing: Whether the model takes pixels 0-255 and normalises them itself.
        profile: `"torch"` or `"tensorflow"`; None for that of the weights.
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


def with_options(config: C, **values: Any) -> C:
    """Returns `config` with the `values` that are not None."""
    return replace(config, **{key: value for key, value in values.items() if value is not None})


def create(build: Callable[[C, Interface], keras.Model], config: C, common: CommonOptions) -> Any:
    """Builds a network with the common options, and loads its weights."""
    known = CommonOptions.__annotations__
    if unknown := [name for name in common if name not in known]:
        raise TypeError(
            f"{config.name}: unknown option {', '.join(unknown)}; every builder takes "
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
    """A public builder: a function from options to a model, with the config of its defaults."""

    __name__: str
    config: ModelConfig

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> keras.Model:
        """Builds the model."""


def builder(name: str, family: Callable[Concatenate[C, P], keras.Model], config: C) -> Builder[P]:
    """Returns the public function `name`, which builds one variant of a family.

    Its signature and docstring list the options that `**common` stands for.
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
    variant.__doc__ = _documented(family.__doc__ or "")
    variant.__signature__ = inspect.Signature([*common, *own])
    variant.config = config
    return variant


def _documented(doc: str) -> str:
    """A builder's docstring: the family's, with what all builders have in common."""
    own, common = inspect.cleandoc(doc), inspect.cleandoc(CommonOptions.__doc__ or "")
    arguments = common.partition("Attributes:\n")[2]
    if "Args:" not in own:
        own += "\n\nArgs:"
    return (
        f"{own}\n{arguments}\n\n"
        "Returns:\n"
        "    A functional `keras.Model` from (B, H, W, 3) pixels 0-255 to (B, classes).\n\n"
        "Raises:\n"
        "    ValueError: An argument is out of range, or the weights do not exist.\n"
    )
