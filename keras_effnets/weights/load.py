"""Resolves `weights=` and loads them into a network."""

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import keras

from keras_effnets.plan.config import check_profile
from keras_effnets.plan.deferred import Shapes, Values, build_from
from keras_effnets.weights import cache, hub
from keras_effnets.weights.catalog import WEIGHTS, WeightsInfo, find_by_hash
from keras_effnets.weights.match import adapt_kernel
from keras_effnets.weights.open import (
    Stored,
    foreign,
    is_ours,
    keras_archive,
    keras_weights,
    our_file,
    published,
)
from weights_tools.formats.our_format import WeightsFile

if TYPE_CHECKING:
    from keras_effnets.plan.config import ModelConfig
    from keras_effnets.plan.interface import Interface

_log = logging.getLogger("keras_effnets")
C = TypeVar("C", bound="ModelConfig")
SUFFIXES = (".keras", ".weights.h5", ".h5", ".safetensors", ".pth", ".pt", ".bin")


def default_weights(model: str) -> str | None:
    """`"imagenet"` if the model has a published set, else None."""
    return "imagenet" if model in WEIGHTS else None


def load_weights(
    build: Callable[[C, "Interface"], keras.Model],
    config: C,
    interface: "Interface",
    *,
    weights: str | os.PathLike[str] | None,
    profile: str | None,
) -> keras.Model:
    """Builds a network and loads its weights.

    Args:
        build: The pure builder.
        config: The network's config; the weights' profile and preset replace its own.
        interface: The model's inputs and outputs. Without top, or with other than the default
            number of classes, the file's classifier may be left out.
        weights: None, `"imagenet"`, a set's name, a path, or `hf://owner/name`.
        profile: `"torch"` or `"tensorflow"`; None for that of the weights.

    Raises:
        ValueError: If there is no such set, or the file is not this network's.
        OSError: If the file cannot be read or downloaded.
    """
    if profile is not None:
        config = replace(config, profile=check_profile(profile))
    if weights is None:
        return build(config, interface)
    path, info = _find(config.name, weights)
    stored = _open(path, info, build, config, interface, profile)
    if profile is not None and stored.profile != profile:
        raise ValueError(
            f"profile={profile!r}, but weights={os.fspath(weights)!r} have profile "
            f"{stored.profile!r}: leave profile out, or choose other weights"
        )
    asked = {name: getattr(config, name) for name in config.fixed_by_weights}
    config = replace(config, profile=stored.profile, preset=stored.preset or config.preset)
    config = _fixed_by_weights(config, asked, stored.settings, os.fspath(weights))
    if stored.epsilon is not None:
        conventions = replace(config.conventions, epsilon=stored.epsilon)
        # The checker wants every field to be of the type of the one that is named at run time.
        config = replace(config, **{stored.profile: conventions})  # type: ignore[arg-type]
    normalisation = config.input_preset if interface.include_preprocessing else None
    fresh_classifier = interface.classes != config.classes

    def start(shapes: Shapes) -> Values:
        first = next(name for name, shape in shapes.items() if len(shape) == 4)
        height, width, channels, filters = shapes[first]
        wanted = {**shapes, first: (height, width, 3, filters)}
        values = stored.values(wanted, fresh_classifier)
        if fresh := [name for name in shapes if name not in values]:
            _log.info("%s: not in %s, so it starts untrained", ", ".join(fresh), weights)
        if channels == 3:
            return values
        rgb = values[first]
        return {**values, first: lambda: adapt_kernel(rgb(), channels, normalisation)}

    model = build_from(lambda: build(config, interface), start)
    stored.check(model)
    return model


def _fixed_by_weights(
    config: C, asked: Mapping[str, Any], recorded: Mapping[str, Any], weights: str
) -> C:
    """`config` with the fields that its weights settle; ValueError where others were asked for."""
    for name in config.fixed_by_weights:
        if name not in recorded:
            continue
        if asked[name] not in (None, recorded[name]):
            raise ValueError(
                f"{name}={asked[name]!r}, but weights={weights!r} were trained with "
                f"{name}={recorded[name]!r}: every shape would fit, and every number would be wrong"
            )
        config = replace(config, **{name: recorded[name]})
    return config


def _find(model: str, weights: str | os.PathLike[str]) -> tuple[Path | None, WeightsInfo | None]:
    sets = WEIGHTS.get(model, ())
    wanted = os.fspath(weights)
    for info in sets:
        if wanted in ("imagenet", info.name):
            return None, info
    if wanted.startswith(hub.PREFIX):
        return hub.fetch(wanted, model), None
    path = Path(wanted).expanduser()
    if path.name.endswith(SUFFIXES):
        if not path.is_file():
            raise FileNotFoundError(f"weights={wanted!r}: there is no such file")
        return path, None
    names = ["'imagenet'", *(repr(info.name) for info in sets)] if sets else []
    published = ", ".join(names) if names else "it has none; these do: " + ", ".join(WEIGHTS)
    raise ValueError(
        f"weights={wanted!r} is not None, a path ending in {', '.join(SUFFIXES)}, "
        f"hf://owner/name, or a published set of {model}: {published}"
    )


def _open(
    path: Path | None,
    info: WeightsInfo | None,
    build: Callable[[C, "Interface"], keras.Model],
    config: C,
    interface: "Interface",
    profile: str | None,
) -> Stored:
    if path is None:
        assert info is not None
        return published(info, build, config)
    if path.name.endswith(".keras") and is_ours(path):
        return keras_archive(path, config)
    if path.name.endswith(".weights.h5") and is_ours(path):
        return keras_weights(path, build, config, interface)
    if path.name.endswith(".safetensors") and (file := WeightsFile(path)).is_ours:
        return our_file(file, config)
    return foreign(path, find_by_hash(config.name, cache.sha256(path)), config, profile)
