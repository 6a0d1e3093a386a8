"""The properties of a model to serve, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.frozen_graph import image_shape
from keras_effnets.images.class_names import class_names
from keras_effnets.images.preset import Preset


@dataclass(frozen=True, slots=True)
class ServedModel:
    """The checked properties of a model to serve."""

    name: str
    shape: tuple[int, int, int]
    """(H, W, C) of an image."""
    classes: int
    names: tuple[str, ...]
    preset: Preset | None
    """None for a model without `serve_bytes`."""
    normalizes: bool
    logits: bool
    top: int
    image_dtype: str


def served_model(
    model: Any, labels: Sequence[str] | None, preset: Preset | None, top: int, image_dtype: str
) -> ServedModel:
    """Checks a model and the arguments of `export_saved_model`.

    Raises:
        ValueError: An argument is out of its range or does not fit the model.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"the backend is {keras.backend.backend()!r}: TensorFlow writes SavedModels; set "
            "KERAS_BACKEND=tensorflow and load the model's .keras file"
        )
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None:
        raise ValueError(
            f"model={getattr(model, 'name', model)!r} returns {shape}: expected one output, "
            "(B, classes)"
        )
    if image_dtype not in ("float32", "uint8"):
        raise ValueError(f"image_dtype={image_dtype!r} is not one of 'float32', 'uint8'")
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ValueError(f"top={top!r} is not an integer of 1 or more")
    input_shape = image_shape(model)
    own = Artifact.of(model, format="", precision="", parity=None, bytes=0)
    preset = preset or own.preset
    if preset is not None and input_shape[:2] != (preset.crop, preset.crop):
        raise ValueError(
            f"preset: its crop is {preset.crop}, but model {model.name!r} takes {input_shape}"
        )
    names = class_names(shape[1], labels or own.labels)
    return ServedModel(
        name=model.name,
        shape=input_shape,
        classes=shape[1],
        names=tuple(name for _, name in names),
        preset=preset if input_shape[2] == 3 else None,
        normalizes=own.normalizes or own.preset is None,
        logits=own.logits,
        top=min(top, shape[1]),
        image_dtype=image_dtype,
    )
