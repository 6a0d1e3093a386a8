"""What a file of weights holds, whoever wrote it: as values for one network."""

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
from keras_effnets.weights.match import Head, matched
from weights_tools.formats.our_format import WeightsFile

if TYPE_CHECKING:
    from keras_effnets.plan.config import ModelConfig
    from keras_effnets.plan.interface import Interface
    from weights_tools.formats.checkpoint import Checkpoint

_log = logging.getLogger("keras_effnets")
C = TypeVar("C", bound="ModelConfig")
CLASSIFIER_BIASES = ("layers/classifier/dense/vars/1", "layers/conv_classifier/conv/vars/1")
"""Of a dense and of a convolved classifier, in Keras's `.weights.h5`."""
_PACKAGE = "keras_effnets>"
"""What Keras puts before the name of a class that is registered here."""
_AUXILIARY_GROUP = "layers/auxiliary_classifier"
"""Of the first of them in Keras's `.weights.h5`."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file of weights holds for one model."""

    profile: str
    preset: Preset | None
    values: Callable[[Shapes, bool], Values]
    """Takes the shapes of the model's weights and whether its classifier may start fresh, and
    gives the value for each weight; raises ValueError where the two do not match."""
    epsilon: float | None = None
    """Of the batch norms; None takes the profile's."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of the config's `fixed_by_weights` fields."""
    check: Callable[[keras.Model], None] = lambda model: None
    """Raises ValueError where a model with these weights would compute something else."""


def is_ours(path: Path) -> bool:
    """Whether a file of Keras's has layers of ours in it.

    Raises:
        ValueError: If the converter wrote it, and its tensors are no longer what was written.
    """
    from weights_tools.formats.checkpoint import read_checkpoint
    from weights_tools.formats.digests import OURS, check_digests

    checkpoint = read_checkpoint(path)
    if OURS in checkpoint.metadata:
        check_digests(checkpoint)
    return has_our_layers(checkpoint)


def has_our_layers(checkpoint: "Checkpoint") -> bool:
    """Whether a file of Keras's has layers of ours in it.

    Its config says so, where it has one; a file of weights alone has only the names of classes.
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
        # The conversion that is kept has none.
        return foreign(cache.locate(info, config.name), info, config)
    name = cache.conversion_name(info, config.name)
    converted = cache.find(cache.CONVERTED, name)
    if converted is None:
        from keras_effnets.weights.convert import convert_published

        source = cache.locate(info, config.name)
        write = partial(convert_published, source, info, build, as_published(config))
        try:
            converted = cache.keep(cache.CONVERTED, name, write)
        except OSError as error:
            # A full disk costs the conversion each time, and nothing else.
            _log.warning("the conversion of %s is not kept: %s", source, error)
            return foreign(source, info, config)
    # An older conversion of a set without a hash recorded the network's preset, not the set's.
    return replace(our_file(WeightsFile(converted), config), preset=info.preset)


def foreign(
    path: Path, info: WeightsInfo | None, config: "ModelConfig", profile: str | None = None
) -> Stored:
    """Of a file in names that are not ours; `info` where it is a published one."""
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
    """Of a file that the converter wrote."""
    owner = file.metadata.get("model")
    if owner != config.name:
        raise ValueError(f"{file.path} holds weights of {owner}, not of {config.name}")
    return Stored(
        file.metadata["profile"],
        Preset.from_dict(json.loads(file.metadata["preset"])),
        partial(matched, file.path, file.values(), file.shapes(), config.head),
        _epsilon(file.metadata),
        json.loads(file.metadata.get("settings", "{}")),
    )


def _epsilon(provenance: Mapping[str, Any]) -> float | None:
    """Of the batch norms of the network that a file was made for."""
    config = provenance.get("config", {})
    config = json.loads(config) if isinstance(config, str) else config
    conventions = config.get(provenance.get("profile"), {})
    return conventions.get("epsilon") if isinstance(conventions, dict) else None


def keras_archive(path: Path, config: "ModelConfig") -> Stored:
    """Of a `.keras` file with a model of ours."""
    donor = keras.saving.load_model(path, compile=False)
    try:
        preset = donor.get_layer("preprocessing").preset
        stem = next(layer for layer in donor.layers if hasattr(layer, "padding"))
        padding, epsilon = stem.padding, getattr(stem, "epsilon", None)
    except (ValueError, AttributeError, StopIteration):
        raise ValueError(f"{path} holds a model that keras_effnets did not make") from None
    return Stored(
        _profile_of(config, padding, epsilon),
        preset,
        partial(_donated, path, donor, config.head),
        epsilon,
        check=partial(_check_options, path, donor, config.head),
    )


def _profile_of(config: "ModelConfig", padding: str | int, epsilon: float | None) -> str:
    """The profile that pads so; where both do, the one with this epsilon of the batch norms."""
    conventions = {name: replace(config, profile=name).conventions for name in PROFILES}
    alike = [name for name in PROFILES if conventions[name].padding == padding]
    exact = [name for name in alike or PROFILES if conventions[name].epsilon == epsilon]
    return (exact or alike or list(PROFILES))[0]


# Options that may differ between two networks with the same weights, and nobody be surprised.
_FREE = {"strides", "dilation_rate", "drop_path", "drop_per", "dropout_rate", "momentum"}
_FREE |= {"zero_gamma", "classes", "labels", "recompute"}


def _check_options(path: Path, donor: keras.Model, head: Head, model: keras.Model) -> None:
    """Raises ValueError for a layer that the two models compute differently."""
    theirs = {layer.name: layer for layer in donor.layers}
    for layer in model.layers:
        other = theirs.get(layer.name)
        if layer.name in head or other is None:
            continue
        for option in getattr(layer, "options", ()):
            here, there = getattr(layer, option), getattr(other, option, None)
            if option not in _FREE and here != there:
                raise ValueError(
                    f"{path}: {layer.name} has {option}={there!r} there, and {option}={here!r} in "
                    "the model asked for: every shape fits, and every number would be wrong"
                )


def keras_weights(
    path: Path,
    build: Callable[[C, "Interface"], keras.Model],
    config: C,
    interface: "Interface",
) -> Stored:
    """Keras's file says nothing of profile and preset, unless `weights-tools` wrote it."""
    with h5py.File(path) as file:
        biases = [file[name] for name in CLASSIFIER_BIASES if name in file]
        classes = int(biases[0].shape[0]) if biases else None
        has_auxiliary = _AUXILIARY_GROUP in file
        provenance = json.loads(file.attrs.get("keras_effnets", "{}"))
    config = replace(config, profile=provenance.get("profile", config.profile))
    preset = Preset.from_dict(provenance["preset"]) if "preset" in provenance else None
    body = replace(interface, include_top=False, input_tensor=None, input_shape=(None, None, 3))
    if hasattr(config, "aux_heads"):
        # GoogLeNet's own field, which not every config has.
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


def _donated(path: Path, donor: Any, head: Head, shapes: Shapes, fresh: bool) -> Values:
    weights = variables_by_path(donor)
    values = {name: partial(keras.ops.convert_to_numpy, w) for name, w in weights.items()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    return matched(path, values, found, head, shapes, fresh)
