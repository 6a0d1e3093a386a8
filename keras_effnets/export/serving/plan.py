"""What a server is to serve, checked before anything is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_effnets.export.artifact import Artifact
from keras_effnets.export.frozen_graph import picture_shape
from keras_effnets.images.labels import imagenet_classes
from keras_effnets.images.preset import Preset


@dataclass(frozen=True, slots=True)
class ServingPlan:
    """What is served, all of it checked."""

    name: str
    shape: tuple[int, int, int]
    """(H, W, C) of a picture."""
    classes: int
    names: tuple[str, ...]
    preset: Preset | None
    """None where there is no `serve_bytes`."""
    normalizes: bool
    logits: bool
    top: int
    image_dtype: str


def serving_plan(
    model: Any, labels: Sequence[str] | None, preset: Preset | None, top: int, image_dtype: str
) -> ServingPlan:
    """The plan for a model; the arguments are those of `export_saved_model`.

    Raises:
        ValueError: For one that is out of its range or does not fit the model.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"the backend is {keras.backend.backend()}: a SavedModel is written by TensorFlow; "
            "set KERAS_BACKEND=tensorflow and load the model's .keras file"
        )
    shape = getattr(model, "output_shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2 or shape[1] is None:
        raise ValueError(
            f"model={getattr(model, 'name', model)!r} gives {shape}: expected one output, "
            "(B, classes)"
        )
    if image_dtype not in ("float32", "uint8"):
        raise ValueError(f"image_dtype={image_dtype!r} is not one of 'float32', 'uint8'")
    if isinstance(top, bool) or not isinstance(top, int) or top < 1:
        raise ValueError(f"top={top!r} is not an integer of 1 or more")
    taken = picture_shape(model)
    own = Artifact.of(model, format="", precision="", parity=None, bytes=0)
    preset = preset or own.preset
    if preset is not None and taken[:2] != (preset.crop, preset.crop):
        raise ValueError(
            f"preset: its crop is {preset.crop}, and model {model.name!r} takes {taken}"
        )
    return ServingPlan(
        name=model.name,
        shape=taken,
        classes=shape[1],
        names=_names(labels or own.labels, shape[1]),
        preset=preset if taken[2] == 3 else None,
        normalizes=own.normalizes or own.preset is None,
        logits=own.logits,
        top=min(top, shape[1]),
        image_dtype=image_dtype,
    )


def _names(labels: Sequence[str] | None, classes: int) -> tuple[str, ...]:
    if labels is None:
        ours = (name for _, name in imagenet_classes())
        return tuple(ours if classes == 1000 else map(str, range(classes)))
    if isinstance(labels, str) or len(labels) != classes:
        raise ValueError(f"labels={labels!r}: expected {classes} names, one a class")
    return tuple(map(str, labels))
