"""What `weights=` means, and how a network gets them."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import h5py
import keras
import numpy as np

from keras_effnets import cache
from keras_effnets.catalog import WEIGHTS, WeightsInfo, find_by_hash
from keras_effnets.deferred import Shapes, Values, build_from, variables_by_path
from keras_effnets.preset import Preset
from keras_effnets.profile import check_profile
from keras_effnets.weights_file import WeightsFile, differences

if TYPE_CHECKING:
    from keras_effnets.models.config import ModelConfig
    from keras_effnets.models.interface import Interface

_log = logging.getLogger("keras_effnets")
C = TypeVar("C", bound="ModelConfig")
SUFFIXES = (".keras", ".weights.h5", ".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file of weights holds for one model."""

    profile: str
    preset: Preset | None
    values: Callable[[Shapes, bool], Values]
    """Takes the shapes of the model's weights and whether its classifier may start fresh, and
    gives the value for each weight; raises ValueError where the two do not match."""


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
        weights: None, `"imagenet"`, a set's name, or a path.
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
    stored = _open(path, info, build, config, interface)
    if profile is not None and stored.profile != profile:
        raise ValueError(
            f"profile={profile!r} with weights={os.fspath(weights)!r}, which are of profile "
            f"{stored.profile!r}; leave the profile out, or take other weights"
        )
    config = replace(config, profile=stored.profile, preset=stored.preset or config.preset)
    normalisation = config.input_preset if interface.include_preprocessing else None
    fresh_classifier = interface.classes != 1000

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

    return build_from(lambda: build(config, interface), start)


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
    path = Path(wanted).expanduser()
    if path.name.endswith(SUFFIXES):
        if not path.is_file():
            raise FileNotFoundError(f"weights={wanted!r}: there is no such file")
        return path, None
    names = ["'imagenet'", *(repr(info.name) for info in sets)] if sets else []
    published = ", ".join(names) if names else "none: there are sets for " + ", ".join(WEIGHTS)
    raise ValueError(
        f"weights={wanted!r} is neither None, nor a path ending in {', '.join(SUFFIXES)}, nor a "
        f"published set of {model} (of which there are {published})"
    )


def _open(
    path: Path | None,
    info: WeightsInfo | None,
    build: Callable[[C, "Interface"], keras.Model],
    config: C,
    interface: "Interface",
) -> Stored:
    if path is None:
        assert info is not None
        return _published(info, config)
    if path.name.endswith(".keras"):
        return _keras_archive(path)
    if path.name.endswith(".weights.h5"):
        return _keras_weights(path, build, config, interface)
    if path.name.endswith(".safetensors") and (file := WeightsFile(path)).is_ours:
        return _our_file(file, config.name)
    return _foreign(path, find_by_hash(config.name, cache.sha256(path)), config)


def _published(info: WeightsInfo, config: "ModelConfig") -> Stored:
    from weights_tools.convert import RULES_VERSION, convert

    name = f"{config.name}-{info.name}-{info.sha256[:8]}-rules{RULES_VERSION}.safetensors"
    converted = cache.home() / "converted" / name
    if not converted.is_file():
        source = cache.locate(info, config.name)
        try:
            converted.parent.mkdir(parents=True, exist_ok=True)
            convert(source, config.name, converted)
        except OSError:
            # A home that cannot be written to costs the conversion each time, and nothing else.
            return _foreign(source, info, config)
    return _our_file(WeightsFile(converted), config.name)


def _foreign(path: Path, info: WeightsInfo | None, config: "ModelConfig") -> Stored:
    from weights_tools.convert import Conversion

    conversion = Conversion(path, config)
    return Stored(conversion.profile, info.preset if info else None, conversion.values)


def _our_file(file: WeightsFile, model: str) -> Stored:
    owner = file.metadata.get("model")
    if owner != model:
        raise ValueError(f"{file.path} holds weights of {owner}, not of {model}")
    return Stored(
        file.metadata["profile"],
        Preset.from_dict(json.loads(file.metadata["preset"])),
        lambda shapes, fresh: _matched(file.path, file.values(), file.shapes(), shapes, fresh),
    )


def _keras_archive(path: Path) -> Stored:
    donor = keras.saving.load_model(path, compile=False)
    try:
        preset = donor.get_layer("preprocessing").preset
        padding = donor.get_layer("stem").padding
    except (ValueError, AttributeError):
        raise ValueError(f"{path} holds a model that keras_effnets did not make") from None
    profile = "torch" if padding == "symmetric" else "tensorflow"
    return Stored(profile, preset, lambda shapes, fresh: _donated(path, donor, shapes, fresh))


def _keras_weights(
    path: Path,
    build: Callable[[C, "Interface"], keras.Model],
    config: C,
    interface: "Interface",
) -> Stored:
    """Keras's file says nothing of profile and preset, unless `weights-tools` wrote it."""
    with h5py.File(path) as file:
        bias = file.get("layers/classifier/dense/vars/1")
        classes = None if bias is None else int(bias.shape[0])
        provenance = json.loads(file.attrs.get("keras_effnets", "{}"))
    config = replace(config, profile=provenance.get("profile", config.profile))
    preset = Preset.from_dict(provenance["preset"]) if "preset" in provenance else None
    body = replace(interface, include_top=False, input_tensor=None, input_shape=(None, None, 3))
    if classes is None:
        donor = build(config, body)
    else:
        donor = build(config, replace(body, include_top=True, classes=classes))
    try:
        donor.load_weights(path)
    except (ValueError, KeyError) as error:
        raise ValueError(f"{path} does not fit {config.name}: {error}") from error
    return Stored(
        config.profile, preset, lambda shapes, fresh: _donated(path, donor, shapes, fresh)
    )


def _donated(path: Path, donor: Any, shapes: Shapes, fresh: bool) -> Values:
    weights = variables_by_path(donor)
    values = {name: partial(keras.ops.convert_to_numpy, w) for name, w in weights.items()}
    found = {name: tuple(weight.shape) for name, weight in weights.items()}
    return _matched(path, values, found, shapes, fresh)


def _matched(
    path: Path,
    values: Values,
    found: Shapes,
    wanted: Shapes,
    fresh_classifier: bool,
) -> Values:
    """Checks that a file holds what the model wants, and nothing that nobody left out."""
    wanted, found = comparable(wanted, found, fresh_classifier)
    if problems := list(differences(wanted, found)):
        raise ValueError(f"{path} does not fit the model:\n  " + "\n  ".join(problems))
    return {name: values[name] for name in wanted}


def comparable(wanted: Shapes, found: Shapes, fresh_classifier: bool) -> tuple[Shapes, Shapes]:
    """Both sides without the classifier, where the model has none or starts its own afresh."""
    head = {name for name in (*wanted, *found) if name.startswith("classifier/")}
    has_head = any(name in wanted for name in head)
    if head and (
        not has_head
        or (fresh_classifier and any(wanted.get(name) != found.get(name) for name in head))
    ):
        return tuple(  # type: ignore[return-value]
            {name: shape for name, shape in side.items() if name not in head}
            for side in (wanted, found)
        )
    return wanted, found
