"""Finds the network to export: by its name, in a file, or as a model.

The caller, the file's header or the model's name tells which network it is. Its profile comes from
the header, or from how the model pads.
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
from keras_effnets.weights.open import CLASSIFIER_BIASES, fitting_profiles, has_our_layers
from weights_tools.formats.checkpoint import read_checkpoint
from weights_tools.formats.our_format import WeightsFile

INPUTS = (".safetensors", ".keras", ".weights.h5")


@dataclass(frozen=True, slots=True)
class ExportSource:
    """A network to export."""

    what: str
    """Its description in messages."""
    config: ModelConfig
    """Its name's default config, with its profile."""
    epsilon: float
    """The batch norms' epsilon: the profile's, or the original checkpoint's."""
    preset: Preset
    values: Values
    counters: Mapping[str, int] = field(default_factory=dict)
    """Batches counted by PyTorch, by the batch norm's path."""


def find_source(model: Any, name: str | None, profile: str | None) -> ExportSource:
    """Finds the network to export.

    Args:
        model: A `keras.Model`, one of our files, or a network's name for its default weights.
        name: The network's name, if `model` does not tell.
        profile: The network's profile, if `model` does not tell.

    Raises:
        ValueError: If it is unclear which network it is, or two statements disagree.
        OSError: If a file cannot be read, or published weights are not available.
    """
    donor = _find(model, name, profile)
    if profile not in (None, donor.config.profile):
        raise ValueError(
            f"profile={profile!r}, but {donor.what} has profile {donor.config.profile!r}"
        )
    return donor


def _find(model: Any, name: str | None, profile: str | None) -> ExportSource:
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
                raise ValueError(f"{path} was not built by keras_effnets")
            donor = keras.saving.load_model(path, compile=False)
            counters = json.loads(checkpoint.metadata.get("counters", "{}"))
            return replace(_from_model(donor, str(path), name or donor.name), counters=counters)
        return _from_keras_weights(path, name, profile)
    if str(model) not in list_models():
        raise ValueError(
            f"model={str(model)!r} is not a file of keras_effnets, which ends in "
            f"{', '.join(INPUTS)}, or the name of a network: {', '.join(list_models())}"
        )
    if name not in (None, str(model)):
        raise ValueError(f"name={name!r}, but the model is {str(model)!r}")
    if str(model) not in WEIGHTS:
        raise ValueError(f"{model} has no published weights: pass a weights file or a model")
    return _from_model(get_builder(str(model))(profile=profile), str(model), str(model))


def _from_weights_file(path: Path, name: str | None) -> ExportSource:
    file = WeightsFile(path)
    if not file.is_ours:
        raise ValueError(
            f"{path} was not written by keras_effnets: convert it with `weights-tools convert`"
        )
    owner = _agreed(path, file.metadata.get("model"), name)
    settings = json.loads(file.metadata.get("settings", "{}"))
    config = replace(get_builder(owner).config, profile=file.metadata["profile"], **settings)
    preset = Preset.from_dict(json.loads(file.metadata["preset"]))
    written = json.loads(file.metadata["config"])[config.profile]
    counters = json.loads(file.metadata.get("counters", "{}"))
    return ExportSource(str(path), config, written["epsilon"], preset, file.values(), counters)


def _from_keras_weights(path: Path, name: str | None, profile: str | None) -> ExportSource:
    with h5py.File(path) as file:
        provenance = json.loads(file.attrs.get("keras_effnets", "{}"))
        biases = [file[name] for name in CLASSIFIER_BIASES if name in file]
        classes = int(biases[0].shape[0]) if biases else 1000
    owner = _agreed(path, provenance.get("model"), name)
    profile = profile or provenance.get("profile")
    if profile is None:
        raise ValueError(
            f"{path} does not record its profile: add --profile, one of " + ", ".join(PROFILES)
        )
    model = get_builder(owner)(weights=path, classes=classes, profile=profile)
    return replace(_from_model(model, str(path), owner), counters=provenance.get("counters", {}))


def _agreed(path: Path, found: str | None, name: str | None) -> str:
    """The network's name, from the file or the caller."""
    if found is None and name is None:
        raise ValueError(f"{path} does not record its network: add --model")
    if None not in (found, name) and found != name:
        raise ValueError(f"{path} has weights of {found}, not of {name}")
    return str(found or name)


def _from_model(model: keras.Model, what: str, name: str) -> ExportSource:
    if name not in list_models():
        raise ValueError(f"{what} is named {name!r}: give the network's name with name= (--model)")
    config = get_builder(name).config
    try:
        preset = model.get_layer("preprocessing").preset
        stem = next(layer for layer in model.layers if hasattr(layer, "padding"))
    except (ValueError, AttributeError, StopIteration):
        raise ValueError(f"{what} was not built by keras_effnets") from None
    if any(getattr(layer, "dilation_rate", 1) != 1 for layer in model.layers):
        raise ValueError(
            f"{what} has dilated blocks, which PyTorch's network does not: build it again from "
            "its weights with output_stride=32"
        )
    epsilon = getattr(stem, "epsilon", None)
    config = replace(config, profile=_profile(config, what, stem.padding, epsilon))
    stride_on = config.conventions.stride_on
    if any(getattr(layer, "stride_on", stride_on) != stride_on for layer in model.layers):
        raise ValueError(
            f"{what} has its strides elsewhere than {name} with profile {config.profile!r}"
        )
    values = {
        path: partial(keras.ops.convert_to_numpy, variable)
        for path, variable in variables_by_path(model).items()
    }
    return ExportSource(what, config, epsilon or config.conventions.epsilon, preset, values)


def _profile(config: ModelConfig, what: str, padding: str | int, epsilon: float | None) -> str:
    """The model's profile; where the paper gives the padding in pixels, both are the same."""
    if isinstance(padding, int):
        return "torch"
    fitting = fitting_profiles(config, padding, epsilon)
    if len(fitting) != 1:
        raise ValueError(
            f"{what} pads {padding!r} with epsilon {epsilon}, which fits neither profile of "
            f"{config.name}"
        )
    return fitting[0]
