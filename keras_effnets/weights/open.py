"""Opens a weights file of any origin as values for one network."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import keras

from keras_effnets.images.preset import Preset
from keras_effnets.plan.config import PROFILES
from keras_effnets.plan.deferred import Shapes, Values, variables_by_path
from keras_effnets.weights import cache
from keras_effnets.weights.catalog import WeightsInfo
from keras_effnets.weights.match import matched
from weights_tools.formats.our_format import WeightsFile

if TYPE_CHECKING:
    from keras_effnets.plan.config import ModelConfig
    from keras_effnets.plan.interface import Interface
    from weights_tools.formats.checkpoint import Checkpoint

_log = logging.getLogger("keras_effnets")
C = TypeVar("C", bound="ModelConfig")
CLASSIFIER_BIASES = ("layers/classifier/dense/vars/1", "layers/conv_classifier/conv/vars/1")
"""Biases of a dense and of a convolutional classifier, in Keras's `.weights.h5`."""
_PACKAGE = "keras_effnets>"
"""The prefix of our registered classes' names."""
_AUXILIARY_GROUP = "layers/auxiliary_classifier"
"""The first auxiliary classifier, in Keras's `.weights.h5`."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A weights file's contents, for one model."""

    profile: str
    preset: Preset | None
    values: Callable[[Shapes, bool], Values]
    """Maps the shapes of the model's weights, and whether its classifier may start untrained, to
    each weight's value; raises ValueError if they do not match."""
    epsilon: float | None = None
    """The batch norms' epsilon; None for the profile's."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The recorded values of the config's `fixed_by_weights` fields."""
    check: Callable[[keras.Model], None] = lambda model: None
    """Raises ValueError if a model with these weights would compute something else."""


def is_ours(path: Path) -> bool:
    """Whether a Keras file contains our layers.

    Raises:
        ValueError: If the converter wrote it and its tensors have changed since.
    """
    from weights_tools.formats.checkpoint import read_checkpoint
    from weights_tools.formats.our_format import OURS, check_digests

    checkpoint = read_checkpoint(path)
    if OURS in checkpoint.metadata:
        check_digests(checkpoint)
    return has_our_layers(checkpoint)


def has_our_layers(checkpoint: "Checkpoint") -> bool:
    """Whether a Keras file contains our layers.

    Its config tells, if it has one; a file of weights alone has only the names of classes.
    """
    told = [layer for layer in checkpoint.layers.values() if layer.config]
    if told:
        return any(layer.registered.startswith(_PACKAGE) for layer in told)
    kinds = {
        name.removeprefix(_PACKAGE).lower()
        for name in keras.saving.get_custom_objects()
        if name.startswith(_PACKAGE)
    }
    return any(layer.kind in kinds for layer in checkpoint.layers.values())


def published(
    info: WeightsInfo, build: Callable[[C, "Interface"], keras.Model], config: C
) -> Stored:
    """A published set, converted at its first use."""
    if getattr(config, "aux_heads", False):
        # The cached conversion has no auxiliary classifiers.
        return foreign(cache.locate(info, config.name), info, config)
    name = cache.conversion_name(info, config.name)
    converted = cache.find(cache.CONVERTED, name)
    if converted is None:
        from keras_effnets.weights.published import convert_published

        source = cache.locate(info, config.name)
        write = partial(convert_published, source, info, build, as_published(config))
        try:
            converted = cache.keep(cache.CONVERTED, name, write)
        except OSError as error:
            # A full disk costs a conversion at each load, nothing else.
            _log.warning("the conversion of %s is not cached: %s", source, error)
            return foreign(source, info, config)
    # An older conversion of a set without a hash recorded the network's preset, not the set's.
    return replace(our_file(WeightsFile(converted), config), preset=info.preset)


def foreign(
    path: Path, info: WeightsInfo | None, config: "ModelConfig", profile: str | None = None
) -> Stored:
    """A file in names that are not ours; `info` if it is a published one."""
    from keras_effnets.weights.conversion import Conversion

    conversion = Conversion(
        path,
        config,
        source=info.source if info else None,
        profile=profile,
        include_top=info is None or info.has_classifier,
    )
    return Stored(
        conversion.profile,
        info.preset if info else conversion.preset,
        conversion.values,
        conversion.epsilon,
        as_published(replace(config, profile=info.profile)).fixed_options if info else {},
    )


def as_published(config: C) -> C:
    """The config with the options under which networks are published, where weights fit others."""
    names = (*config.fixed_by_weights, "output_stride")
    defaults = {field.name: field.default for field in fields(config) if field.name in names}
    # The checker cannot know which fields these are.
    return replace(config, **defaults)  # type: ignore[arg-type]


def our_file(file: WeightsFile, config: "ModelConfig") -> Stored:
    """A file that the converter wrote."""
    owner = file.metadata.get("model")
    if owner != config.name:
        raise ValueError(f"{file.path} has weights of {owner}, not of {config.name}")
    return Stored(
        file.metadata["profile"],
        Preset.from_dict(json.loads(file.metadata["preset"])),
        partial(matched, file.path, file.values(), file.shapes(), config.head),
        _epsilon(file.metadata),
        json.loads(file.metadata.get("settings", "{}")),
    )


def _epsilon(provenance: Mapping[str, Any]) -> float | None:
    """The batch norms' epsilon of the network that a file was written for."""
    config = provenance.get("config", {})
    config = json.loads(config) if isinstance(config, str) else config
    conventions = config.get(provenance.get("profile"), {})
    return conventions.get("epsilon") if isinstance(conventions, dict) else None


def keras_archive(path: Path, config: "ModelConfig") -> Stored:
    """A `.keras` file with a model of ours."""
    donor = keras.saving.load_model(path, compile=False)
    try:
        preset = donor.get_layer("preprocessing").preset
        stem = next(layer for layer in donor.layers if hasattr(layer, "padding"))
        padding, epsilon = stem.padding, getattr(stem, "epsilon", None)
    except (ValueError, AttributeError, StopIteration):
        raise ValueError(f"{path} contains a model that was not built by keras_effnets") from None
    return Stored(
        (fitting_profiles(config, padding, epsilon) or PROFILES)[0],
        preset,
        partial(_donated, path, donor, config.head),
        epsilon,
        check=partial(_check_options, path, donor, config.head),
    )


def fitting_profiles(config: "ModelConfig", padding: str | int, epsilon: float | None) -> list[str]:
    """The profiles with this padding; if several, those of them with this epsilon, if any."""
    conventions = {name: replace(config, profile=name).conventions for name in PROFILES}
    alike = [name for name in PROFILES if conventions[name].padding == padding]
    return [name for name in alike if conventions[name].epsilon == epsilon] or alike


# Options that may differ between two networks with the same weights.
_FREE = {"strides", "dilation_rate", "drop_path", "drop_per", "dropout_rate", "momentum"}
_FREE |= {"zero_gamma", "classes", "labels", "recompute", "preset", "normalize", "rate", "seed"}


def _check_options(
    path: Path, donor: keras.Model, head: tuple[str, ...], model: keras.Model
) -> None:
    """Raises ValueError if the two models compute a layer differently."""
    theirs = {layer.name: layer for layer in donor.layers}
    for layer in model.layers:
        other = theirs.get(layer.name)
        if layer.name in head or other is None:
            continue
        for option in getattr(layer, "options", ()):
            here, there = getattr(layer, option), getattr(other, option, None)
            if option not in _FREE and here != there:
                raise ValueError(
                    f"{path}: {layer.name} has {option}={there!r} in the file, but "
                    f"{option}={here!r} in the model: the shapes fit, but the numbers would be "
                    "wrong"
                )


def keras_weights(
    path: Path,
    build: Callable[[C, "Interface"], keras.Model],
    config: C,
    interface: "Interface",
) -> Stored:
    """A `.weights.h5` file of ours; without profile and preset unless `weights-tools` wrote it."""
    with h5py.File(path) as file:
        biases = [file[name] for name in CLASSIFIER_BIASES if name in file]
        classes = int(biases[0].shape[0]) if biases else None
        has_auxiliary = _AUXILIARY_GROUP in file
        provenance = json.loads(file.attrs.get("keras_effnets", "{}"))
    config = replace(config, profile=provenance.get("profile", config.profile))
    preset = Preset.from_dict(provenance["preset"]) if "preset" in provenance else None
    body = replace(interface, include_top=False, input_tensor=None, input_shape=(None, None, 3))
    if hasattr(config, "aux_heads"):
        # a field of GoogLeNet's config
        config = replace(config, aux_heads=has_auxiliary)  # type: ignore[call-arg]
        body = replace(body, input_shape=(config.side, config.side, 3))  # for their windows
    if classes is None:
        donor = build(config, body)
    else:
        donor = build(config, replace(body, include_top=True, classes=classes))
    try:
        donor.load_weights(path)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path} does not fit {config.name}: {error}") from error
    return Stored(
        config.profile,
        preset,
        partial(_donated, path, donor, config.head),
        _epsilon(provenance),
        provenance.get("settings", {}),
    )


def _donated(path: Path, donor: Any, head: tuple[str, ...], shapes: Shapes, fresh: bool) -> Values:
    weights = variables_by_path(donor)
    values = {name: partial(keras.ops.convert_to_numpy, w) for name, w in weights.items()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    return matched(path, values, found, head, shapes, fresh)
