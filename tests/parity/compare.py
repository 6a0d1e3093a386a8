"""The Keras side of the comparison: features of every stage, errors, and mutants."""

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np

TOLERANCE = 1e-4


def stage_names(model: keras.Model) -> dict[str, str]:
    """The layer that ends each part: stem, every stage, top."""
    names = {}
    for layer in model.layers:
        part = layer.name.split("_")[0]
        if part in ("stem", "top") or part.startswith("stage"):
            names[part] = layer.name
    return names


def run(
    model: keras.Model, pictures: np.ndarray, names: Mapping[str, str] | None = None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Outputs, and features (B, H, W, C) of every part, of one eager pass at inference.

    `names` are the layers by part; None takes `stage_names`.
    """
    names = stage_names(model) if names is None else names
    features = {part: model.get_layer(name).output for part, name in names.items()}
    tapped = keras.Model(model.input, {"outputs": model.output, **features})
    found = {
        part: keras.ops.convert_to_numpy(value)
        for part, value in tapped(pictures, training=False).items()
    }
    return found.pop("outputs"), found


def logits(model: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Outputs at inference."""
    return keras.ops.convert_to_numpy(model(pictures, training=False))


def relative_error(candidate: np.ndarray, reference: np.ndarray) -> float:
    """max|Δ| / max|reference|."""
    assert candidate.shape == reference.shape
    difference = np.abs(np.asarray(candidate, np.float64) - reference).max()
    return float(difference / np.abs(reference).max())


def errors(
    model: keras.Model,
    pictures: np.ndarray,
    logits: np.ndarray,
    features: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """The relative error of the logits and of each part's features.

    Features that no part has the name of are those of a layer of that name.
    """
    stages = stage_names(model)
    assert stages.keys() <= features.keys()
    own_logits, own = run(model, pictures, {name: stages.get(name, name) for name in features})
    return {
        **{name: relative_error(own[name], features[name]) for name in features},
        "logits": relative_error(own_logits, logits),
    }


def first_block_with_skip(model: keras.Model) -> Any:
    return next(layer for layer in model.layers if getattr(layer, "has_skip", False))


def configured(model: keras.Model, edit: Callable[[dict[str, Any]], None]) -> keras.Model:
    """The same network and weights, its layers' configs edited."""
    return _replaced(model, edit, ())


def renewed(model: keras.Model, names: Iterable[str]) -> keras.Model:
    """The same network and weights, in which these layers may be changed."""
    return _replaced(model, lambda config: None, names)


def _replaced(
    model: keras.Model, edit: Callable[[dict[str, Any]], None], names: Iterable[str]
) -> keras.Model:
    """Makes those layers anew that are named or edited; the others are the model's own.

    A layer's `output` stays that of the model, so only the whole network can be run.
    """
    made = {}

    def same_or_new(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        edited = copy.deepcopy(config)
        edit(edited)
        if edited == config and layer.name not in names:
            return layer
        made[layer.name] = type(layer).from_config(edited)
        return made[layer.name]

    names = set(names)
    mutant = keras.models.clone_model(model, clone_function=same_or_new)
    assert made
    for name, layer in made.items():
        layer.set_weights(model.get_layer(name).get_weights())
    return mutant


def _other(padding: str) -> str:
    return "same" if padding == "symmetric" else "symmetric"


def stem_padding(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if config["name"] == "stem":
            config["padding"] = _other(config["padding"])

    return configured(model, edit)


def block_padding(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if config["name"] == "stage2_block0":
            config["padding"] = _other(config["padding"])

    return configured(model, edit)


def epsilon(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if "epsilon" in config:
            config["epsilon"] = 1e-3 if config["epsilon"] < 1e-3 else 1e-5

    return configured(model, edit)


def missing_skip(model: keras.Model) -> keras.Model:
    name = first_block_with_skip(model).name
    mutant = renewed(model, [name])
    mutant.get_layer(name).has_skip = False
    return mutant


def squeeze_activation(model: keras.Model) -> keras.Model:
    names = [layer.name for layer in model.layers if hasattr(layer, "squeeze_excite")]
    mutant = renewed(model, names)
    for name in names:
        mutant.get_layer(name).squeeze_excite.reduce.activation = keras.activations.relu
    return mutant


def unclipped_relu(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if config.get("activation") == "relu6":
            config["activation"] = "relu"

    return configured(model, edit)


def pixel_scale(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if "preset" in config:
            config["preset"] = {**config["preset"], "std": (60.0, 60.0, 60.0)}

    return configured(model, edit)
