"""The Keras side of the comparison: features of every stage, errors, and mutants."""

from collections.abc import Callable, Mapping
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


def _configured(model: keras.Model, edit: Callable[[dict[str, Any]], None]) -> keras.Model:
    """The same network and weights, its layers' configs edited."""
    config = model.get_config()
    for layer in config["layers"]:
        edit(layer["config"])
    mutant = keras.Model.from_config(config)
    mutant.set_weights(model.get_weights())
    return mutant


def _other(padding: str) -> str:
    return "same" if padding == "symmetric" else "symmetric"


def stem_padding(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if config["name"] == "stem":
            config["padding"] = _other(config["padding"])

    return _configured(model, edit)


def block_padding(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if config["name"] == "stage2_block0":
            config["padding"] = _other(config["padding"])

    return _configured(model, edit)


def epsilon(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if "epsilon" in config:
            config["epsilon"] = 1e-3 if config["epsilon"] < 1e-3 else 1e-5

    return _configured(model, edit)


def missing_skip(model: keras.Model) -> keras.Model:
    mutant = _configured(model, lambda config: None)
    first_block_with_skip(mutant).has_skip = False
    return mutant


def squeeze_activation(model: keras.Model) -> keras.Model:
    mutant = _configured(model, lambda config: None)
    for layer in mutant.layers:
        if hasattr(layer, "squeeze_excite"):
            layer.squeeze_excite.reduce.activation = keras.activations.relu
    return mutant


def unclipped_relu(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if config.get("activation") == "relu6":
            config["activation"] = "relu"

    return _configured(model, edit)


def pixel_scale(model: keras.Model) -> keras.Model:
    def edit(config: dict[str, Any]) -> None:
        if "preset" in config:
            config["preset"] = {**config["preset"], "std": (60.0, 60.0, 60.0)}

    return _configured(model, edit)
