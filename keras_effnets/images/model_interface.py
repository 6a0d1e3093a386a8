"""A model's preset and class names, and whether it returns logits, read from its layers.

Works with any model that has the layers "preprocessing" and "classifier" of this package. Imports
no Keras.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_effnets.images.preset import Preset


def preprocessing_layer(model: Any) -> Any:
    """Returns a model's "preprocessing" layer, which holds its preset.

    Raises:
        ValueError: If the model has no layer of that name, or the layer holds no preset.
    """
    try:
        layer = model.get_layer("preprocessing")
        found = isinstance(layer.preset, Preset)
    except (AttributeError, ValueError):
        found = False
    if not found:
        raise ValueError(
            f"model {getattr(model, 'name', model)!r} has no layer named 'preprocessing' that "
            "holds a preset, as the models of this package do"
        )
    return layer


def image_preset(model: Any) -> Preset:
    """Returns the preset of a model that takes RGB images.

    Raises:
        ValueError: If the model has no preset, or its input is not RGB images of the preset's size.
    """
    preset: Preset = preprocessing_layer(model).preset
    shape, prepared = model.input_shape, (preset.crop, preset.crop, 3)
    if not isinstance(shape, tuple) or len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"model {model.name!r} takes {shape}: expected RGB images, (B, H, W, 3)")
    if any(side not in (None, preset.crop) for side in shape[1:3]):
        raise ValueError(f"model {model.name!r} takes {shape}, but its preset makes {prepared}")
    return preset


def model_preset(model: Any) -> Preset:
    """Returns the preset of an image classifier.

    Raises:
        ValueError: As `image_preset`, or if the model's output is not (B, classes).
    """
    preset = image_preset(model)
    shape = model.output_shape
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None:
        raise ValueError(f"model {model.name!r} returns {shape}: expected (B, classes)")
    return preset


def classifier_layer(model: Any) -> Any:
    """Returns a model's "classifier" layer, or None."""
    return next((layer for layer in model.layers if layer.name == "classifier"), None)


def model_labels(model: Any) -> Sequence[str] | None:
    """Returns the class names in a model's "classifier" layer, or None."""
    labels: Sequence[str] | None = getattr(classifier_layer(model), "labels", None)
    return labels


def gives_logits(classifier: Any) -> bool:
    """Whether a classifier layer returns logits; False for None."""
    return classifier is not None and getattr(classifier, "activation", "") in (None, "linear")


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    """Turns logits (..., classes) into probabilities."""
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)
