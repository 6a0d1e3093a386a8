"""What `weights=` means, and how a network gets them."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import keras
import numpy as np

from keras_effnets import cache, hub
from keras_effnets.catalog import WEIGHTS, WeightsInfo, find_by_hash
from keras_effnets.deferred import Shapes, Values, build_from, variables_by_path
from keras_effnets.preset import Preset
from keras_effnets.profile import PROFILES, check_profile
from keras_effnets.weights_file import WeightsFile, differences

if TYPE_CHECKING:
    from keras_effnets.models.config import ModelConfig
    from keras_effnets.models.interface import Interface

Head = tuple[str, ...]
"""Names of the layers that `include_top=False` leaves out."""

_log = logging.getLogger("keras_effnets")
C = TypeVar("C", bound="ModelConfig")
CLASSIFIER_BIASES = ("layers/classifier/dense/vars/1", "layers/conv_classifier/conv/vars/1")
"""Of a dense and of a convolved classifier, in Keras's `.weights.h5`."""
AUXILIARY = ("aux1", "aux2")
"""Classifiers that a network may have beside its own, for training only."""
_AUXILIARY_GROUP = "layers/auxiliary_classifier"
"""Of the first of them in Keras's `.weights.h5`."""
SUFFIXES = (".keras", ".weights.h5", ".h5", ".safetensors", ".pth", ".pt", ".bin")


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
    """What the file says of the config's `settled` fields."""
    check: Callable[[keras.Model], None] = lambda model: None
    """Raises ValueError where a model with these weights would compute something else."""


def default_weights(model: str) -> str | None:
    """`"imagenet"` where there is a published set for `model`, else None."""
    return "imagenet" if model in WEIGHTS else None


def load_weights(
    build: Callable[[C, "Interface"], keras.Model],
    config: C,
    interface: "Interface",
    *,
    weights: str | os.PathLike[str] | None,
    profile: str | None,
) -> keras.Model:
    """Builds a network and gives it its weights.

    Args:
        build: The pure builder.
        config: Of the network. Weights that come with a profile and a preset replace its own.
        interface: Of the model. Without top, and with other than 1000 classes, the file's
            classifier may be left out.
        weights: None, `"imagenet"`, a set's name, a path, or `hf://owner/name`.
        profile: None to follow the weights.

    Raises:
        ValueError: If there is no such set, or the file is not one of this network's.
        OSError: If the file cannot be read or fetched.
    """
    if profile is not None:
        config = replace(config, profile=check_profile(profile))
    if weights is None:
        return build(config, interface)
    path, info = _find(config.name, weights)
    stored = _open(path, info, build, config, interface, profile)
    if profile is not None and stored.profile != profile:
        raise ValueError(
            f"profile={profile!r} with weights={os.fspath(weights)!r}, which are of profile "
            f"{stored.profile!r}; leave the profile out, or take other weights"
        )
    asked = {name: getattr(config, name) for name in config.settled}
    config = replace(config, profile=stored.profile, preset=stored.preset or config.preset)
    config = _settled(config, asked, stored.settings, os.fspath(weights))
    if stored.epsilon is not None:
        habits = replace(config.habits, epsilon=stored.epsilon)
        # The checker wants every field to be of the type of the one that is named at run time.
        config = replace(config, **{stored.profile: habits})  # type: ignore[arg-type]
    normalisation = config.input_preset if interface.include_preprocessing else None
    fresh_classifier = interface.classes != config.classes

    def start(shapes: Shapes) -> Values:
        first = next(name for name, shape in shapes.items() if len(shape) == 4)
        height, width, channels, filters = shapes[first]
        wanted = {**shapes, first: (height, width, 3, filters)}
        values = stored.values(wanted, fresh_classifier)
        if fresh := [name for name in shapes if name not in values]:
            _log.info("%s: not in %s, starts untrained", ", ".join(fresh), weights)
        if channels == 3:
            return values
        rgb = values[first]
        return {**values, first: lambda: adapt_kernel(rgb(), channels, normalisation)}

    model = build_from(lambda: build(config, interface), start)
    stored.check(model)
    return model


def _settled(config: C, asked: Mapping[str, Any], recorded: Mapping[str, Any], weights: str) -> C:
    """`config` with the fields that its weights settle; ValueError where others were asked for."""
    for name in config.settled:
        if name not in recorded:
            continue
        if asked[name] not in (None, recorded[name]):
            raise ValueError(
                f"{name}={asked[name]!r} with weights={weights!r}, which are of "
                f"{name}={recorded[name]!r}: every shape fits, and every number would be wrong"
            )
        config = replace(config, **{name: recorded[name]})
    return config


def adapt_kernel(kernel: np.ndarray, channels: int, preset: Preset | None) -> np.ndarray:
    """Makes a kernel over RGB one over `channels`, so that grey pictures give what they gave.

    From three channels on, each new channel looks like red, green or blue in turn, and they
    share that colour's weight. One or two channels are mixed so that the result on a picture
    with equal channels is the same, normalisation included; one channel can do that only where
    there is none, or the same for all colours.

    Args:
        kernel: (H, W, 3, filters).
        channels: Of the new input.
        preset: The normalisation before the kernel, `preset.mean` and `preset.std` repeating
            over the channels; None where there is none.

    Returns:
        (H, W, channels, filters).
    """
    if channels >= 3:
        colour = np.arange(channels) % 3
        return kernel[:, :, colour] / np.bincount(colour)[colour][:, None].astype(kernel.dtype)
    mean, std = (np.zeros(3), np.ones(3)) if preset is None else (preset.mean, preset.std)
    # A grey value g reaches channel c as g / std[c] - mean[c] / std[c]: two coefficients each.
    lines = np.stack([1 / np.asarray(std), -np.asarray(mean) / std])
    mixing = np.linalg.pinv(lines[:, :channels]) @ lines
    return np.einsum("jc,hwcf->hwjf", mixing, kernel).astype(kernel.dtype)


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
    published = ", ".join(names) if names else "none: there are sets for " + ", ".join(WEIGHTS)
    raise ValueError(
        f"weights={wanted!r} is neither None, nor a path ending in {', '.join(SUFFIXES)}, nor "
        f"hf://owner/name, nor a published set of {model} (of which there are {published})"
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
        return _published(info, config)
    if path.name.endswith(".keras") and _is_ours(path):
        return _keras_archive(path, config)
    if path.name.endswith(".weights.h5") and _is_ours(path):
        return _keras_weights(path, build, config, interface)
    if path.name.endswith(".safetensors") and (file := WeightsFile(path)).is_ours:
        return _our_file(file, config)
    return _foreign(path, find_by_hash(config.name, cache.sha256(path)), config, profile)


def _is_ours(path: Path) -> bool:
    """Whether a file of Keras's has layers of ours in it.

    Raises:
        ValueError: If the converter wrote it, and its tensors are no longer what was written.
    """
    from weights_tools.checkpoint import read_checkpoint
    from weights_tools.digests import OURS, check_digests
    from weights_tools.ours import has_our_layers

    checkpoint = read_checkpoint(path)
    if OURS in checkpoint.metadata:
        check_digests(checkpoint)
    return has_our_layers(checkpoint)


def _published(info: WeightsInfo, config: "ModelConfig") -> Stored:
    from weights_tools.convert import RULES_VERSION, convert

    if getattr(config, "aux_heads", False):
        # The conversion that is kept has none.
        return _foreign(cache.locate(info, config.name), info, config)
    name = cache.conversion_name(info, config.name, RULES_VERSION)
    converted = cache.find(cache.CONVERTED, name)
    if converted is None:
        source = cache.locate(info, config.name)
        try:
            converted = cache.keep(
                cache.CONVERTED, name, lambda path: convert(source, config.name, path)
            )
        except OSError as error:
            # A full disk costs the conversion each time, and nothing else.
            _log.warning("the conversion of %s is not kept: %s", source, error)
            return _foreign(source, info, config)
    # A set without a hash was not known to the converter, which then took the network's preset.
    return replace(_our_file(WeightsFile(converted), config), preset=info.preset)


def _foreign(
    path: Path, info: WeightsInfo | None, config: "ModelConfig", profile: str | None = None
) -> Stored:
    from weights_tools.conversion import Conversion

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
        _defaults(config, info.profile) if info else {},
    )


def _defaults(config: "ModelConfig", profile: str) -> dict[str, Any]:
    """The settings under which a network is published."""
    defaults = {each.name: each.default for each in fields(config) if each.name in config.settled}
    # The checker cannot know which fields these are.
    return replace(config, profile=profile, **defaults).settings  # type: ignore[arg-type]


def _our_file(file: WeightsFile, config: "ModelConfig") -> Stored:
    owner = file.metadata.get("model")
    if owner != config.name:
        raise ValueError(f"{file.path} holds weights of {owner}, not of {config.name}")
    return Stored(
        file.metadata["profile"],
        Preset.from_dict(json.loads(file.metadata["preset"])),
        partial(_matched, file.path, file.values(), file.shapes(), config.head),
        _epsilon(file.metadata),
        json.loads(file.metadata.get("settings", "{}")),
    )


def _epsilon(provenance: Mapping[str, Any]) -> float | None:
    """Of the batch norms of the network that a file was made for."""
    config = provenance.get("config", {})
    config = json.loads(config) if isinstance(config, str) else config
    habits = config.get(provenance.get("profile"), {})
    return habits.get("epsilon") if isinstance(habits, dict) else None


def _keras_archive(path: Path, config: "ModelConfig") -> Stored:
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
    habits = {name: replace(config, profile=name).habits for name in PROFILES}
    alike = [name for name in PROFILES if habits[name].padding == padding]
    exact = [name for name in alike or PROFILES if habits[name].epsilon == epsilon]
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


def _keras_weights(
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
    return _matched(path, values, found, head, shapes, fresh)


def _matched(
    path: Path,
    values: Values,
    found: Shapes,
    head: Head,
    wanted: Shapes,
    fresh_classifier: bool,
) -> Values:
    """Checks that a file holds what the model wants, and nothing that nobody left out."""
    wanted, found = comparable(wanted, found, head, fresh_classifier)
    if _of(("classifier",), wanted) and not _of(("classifier",), found):
        raise ValueError(
            f"{path} holds no classifier: take include_top=False, or classes= other than "
            "the default for one that starts untrained"
        )
    if problems := list(differences(wanted, found)):
        raise ValueError(f"{path} does not fit the model:\n  " + "\n  ".join(problems))
    return {name: values[name] for name in wanted}


def comparable(
    wanted: Shapes, found: Shapes, head: Head, fresh_classifier: bool
) -> tuple[Shapes, Shapes]:
    """Both sides without what need not agree.

    That is the whole head where one of them has none, if it may start afresh then; each classifier
    that one of them lacks or has in another size, if those may; and auxiliary classifiers that
    nobody wants.
    """
    if not _of(head, wanted):
        dropped = _of(head, found)
    elif fresh_classifier and not _of(head, found):
        dropped = _of(head, wanted)
    else:
        dropped = _of(AUXILIARY, found) - wanted.keys()
        for layer in ("classifier", *AUXILIARY) if fresh_classifier else ():
            names = _of((layer,), {**wanted, **found})
            if any(wanted.get(name) != found.get(name) for name in names):
                dropped |= names
    return (
        {name: shape for name, shape in wanted.items() if name not in dropped},
        {name: shape for name, shape in found.items() if name not in dropped},
    )


def _of(layers: Head, shapes: Shapes) -> set[str]:
    """The weights of these layers."""
    return {name for name in shapes if name.partition("/")[0] in layers}
