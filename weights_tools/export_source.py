"""A network of ours with its values, from wherever they are: a name, a file, a model.

Which network it is, the caller says or the place does: the header of a file, the name of a model.
Its profile is read from the header, or from how the model pads.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import keras

from keras_effnets.images.preset import Preset
from keras_effnets.models.registry import get_builder, list_models
from keras_effnets.plan.config import PROFILES, ModelConfig
from keras_effnets.plan.deferred import Values, variables_by_path
from keras_effnets.weights.catalog import WEIGHTS
from keras_effnets.weights.open import CLASSIFIER_BIASES, has_our_layers
from weights_tools.formats.checkpoint import read_checkpoint
from weights_tools.formats.our_format import WeightsFile

INPUTS = (".safetensors", ".keras", ".weights.h5")


@dataclass(frozen=True, slots=True)
class Donor:
    """What is known of a network that exists."""

    what: str
    """For errors."""
    config: ModelConfig
    """The default one of its name, with the profile that is in force."""
    epsilon: float
    """Of its batch norms: that of the profile, or of the checkpoint that it came from."""
    preset: Preset
    values: Values
    counters: Mapping[str, int] = field(default_factory=dict)
    """Batches that PyTorch had counted, by the batch norm's path."""


def find_donor(model: Any, name: str | None, profile: str | None) -> Donor:
    """The network that `model` is: a `keras.Model`, one of our files, or the name of a network.

    Args:
        model: A name stands for the network's default weights.
        name: Of the network, where `model` does not say it.
        profile: Of the network, likewise.

    Raises:
        ValueError: Where it cannot be told which network it is, or two sources disagree.
        OSError: If a file cannot be read, or published weights are not there.
    """
    donor = _find(model, name, profile)
    if profile not in (None, donor.config.profile):
        raise ValueError(
            f"profile={profile!r}, and {donor.what} is of profile {donor.config.profile!r}"
        )
    return donor


def _find(model: Any, name: str | None, profile: str | None) -> Donor:
    if isinstance(model, keras.Model):
        return _from_model(model, f"the model {model.name!r}", name or model.name)
    path = Path(model)
    if path.name.endswith(INPUTS):
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such file")
        if path.suffix == ".safetensors":
            return _from_weights_file(path, name)
        if path.suffix == ".keras":
            checkpoint = read_checkpoint(path)
            if not has_our_layers(checkpoint):
                raise ValueError(f"{path} is no network that keras_effnets made")
            donor = keras.saving.load_model(path, compile=False)
            counters = json.loads(checkpoint.metadata.get("counters", "{}"))
            return replace(_from_model(donor, str(path), name or donor.name), counters=counters)
        return _from_keras_weights(path, name, profile)
    if str(model) not in list_models():
        raise ValueError(
            f"model={str(model)!r} is neither the name of a network ({', '.join(list_models())}) "
            f"nor a file of keras_effnets, which ends in {', '.join(INPUTS)}"
        )
    if name not in (None, str(model)):
        raise ValueError(f"name={name!r}, and the model is {str(model)!r}")
    if str(model) not in WEIGHTS:
        raise ValueError(f"{model} has no published weights: name a file of them, or give a model")
    return _from_model(get_builder(str(model))(profile=profile), str(model), str(model))


def _from_weights_file(path: Path, name: str | None) -> Donor:
    file = WeightsFile(path)
    if not file.is_ours:
        raise ValueError(
            f"{path} was not written by keras_effnets: `weights-tools convert` makes such a file"
        )
    owner = _agreed(path, file.metadata.get("model"), name)
    settings = json.loads(file.metadata.get("settings", "{}"))
    config = replace(get_builder(owner).config, profile=file.metadata["profile"], **settings)
    preset = Preset.from_dict(json.loads(file.metadata["preset"]))
    written = json.loads(file.metadata["config"])[config.profile]
    counters = json.loads(file.metadata.get("counters", "{}"))
    return Donor(str(path), config, written["epsilon"], preset, file.values(), counters)


def _from_keras_weights(path: Path, name: str | None, profile: str | None) -> Donor:
    with h5py.File(path) as file:
        provenance = json.loads(file.attrs.get("keras_effnets", "{}"))
        biases = [file[name] for name in CLASSIFIER_BIASES if name in file]
        classes = int(biases[0].shape[0]) if biases else 1000
    owner = _agreed(path, provenance.get("model"), name)
    profile = profile or provenance.get("profile")
    if profile is None:
        raise ValueError(
            f"{path} does not say of which profile its weights are: add --profile, one of "
            + ", ".join(PROFILES)
        )
    model = get_builder(owner)(weights=path, classes=classes, profile=profile)
    return replace(_from_model(model, str(path), owner), counters=provenance.get("counters", {}))


def _agreed(path: Path, found: str | None, name: str | None) -> str:
    """The network's name, from the file or from the caller."""
    if found is None and name is None:
        raise ValueError(f"{path} does not say of which network it is: add --model")
    if None not in (found, name) and found != name:
        raise ValueError(f"{path} holds weights of {found}, not of {name}")
    return str(found or name)


def _from_model(model: keras.Model, what: str, name: str) -> Donor:
    if name not in list_models():
        raise ValueError(f"{what} is named {name!r}: say with name= (--model) which network it is")
    config = get_builder(name).config
    try:
        preset = model.get_layer("preprocessing").preset
        stem = next(layer for layer in model.layers if hasattr(layer, "padding"))
    except (ValueError, AttributeError, StopIteration):
        raise ValueError(f"{what} is no network that keras_effnets made") from None
    if any(getattr(layer, "dilation_rate", 1) != 1 for layer in model.layers):
        raise ValueError(
            f"{what} has dilated blocks, and the network in PyTorch has not: make it again from "
            "its weights, with output_stride=32"
        )
    epsilon = getattr(stem, "epsilon", None)
    config = replace(config, profile=_profile(config, what, stem.padding, epsilon))
    stride_on = config.conventions.stride_on
    if any(getattr(layer, "stride_on", stride_on) != stride_on for layer in model.layers):
        raise ValueError(f"{what} strides where {name} of profile {config.profile!r} does not")
    values = {
        path: partial(keras.ops.convert_to_numpy, variable)
        for path, variable in variables_by_path(model).items()
    }
    return Donor(what, config, epsilon or config.conventions.epsilon, preset, values)


def _profile(config: ModelConfig, what: str, padding: str | int, epsilon: float | None) -> str:
    """The one that pads so: of several the one with this epsilon, which a checkpoint may change.

    Where the paper's rows give the padding in pixels, both profiles are the same network.
    """
    if isinstance(padding, int):
        return "torch"
    conventions = {profile: replace(config, profile=profile).conventions for profile in PROFILES}
    alike = [profile for profile in PROFILES if conventions[profile].padding == padding]
    exact = [profile for profile in alike if conventions[profile].epsilon == epsilon]
    chosen = exact or alike
    if len(chosen) != 1:
        raise ValueError(
            f"{what} pads {padding!r} with an epsilon of {epsilon}: of no one profile of "
            f"{config.name}"
        )
    return chosen[0]
