"""The description of an exported model, in a small JSON file beside it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_effnets.export.parity import Parity
from keras_effnets.export.quantisation_cost import QuantisationCost
from keras_effnets.images.model_interface import gives_logits
from keras_effnets.images.preset import Preset
from keras_effnets.layers import Classifier, ConvClassifier, Preprocessing
from weights_tools import __version__
from weights_tools.formats.atomic import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An exported model.

    Attributes:
        format: "saved-model", "litert", "onnx" or "openvino".
        model: The model's name.
        precision: The precision of its arithmetic: "float32", "float16", "dynamic", "int8" or
            "bfloat16".
        input_shape: (H, W, C) of one image; None for a side of any length.
        preset: How images are prepared for it; None for a model without a preset.
        normalizes: Whether it takes pixels 0-255, rather than pixels normalised by the preset.
        labels: The class names; None if the model has none.
        logits: Whether it returns logits, not probabilities.
        parity: The difference from the model's outputs.
        bytes: Total size of its files.
        rounding: The cost of int8; None for other precisions.
        release: The version of this package that wrote it.
    """

    format: str
    model: str
    precision: str
    input_shape: tuple[int | None, ...]
    preset: Preset | None
    normalizes: bool
    labels: tuple[str, ...] | None
    logits: bool
    parity: Parity
    bytes: int
    rounding: QuantisationCost | None = None
    release: str = __version__

    @classmethod
    def of(cls, model: keras.Model, **known: Any) -> Artifact:
        """Describes a model by its layers; `known` are the remaining attributes."""
        first = next((layer for layer in model.layers if isinstance(layer, Preprocessing)), None)
        heads = [layer for layer in model.layers if isinstance(layer, Classifier | ConvClassifier)]
        head = heads[-1] if heads else None
        return cls(
            model=model.name,
            input_shape=tuple(model.input_shape[1:]),
            preset=first.preset if first else None,
            normalizes=bool(first and first.normalize),
            labels=head.labels if head else None,
            logits=gives_logits(head),
            **known,
        )

    def write(self, path: Path) -> None:
        """Writes the JSON, whole or not at all."""
        with replacing(path) as file:
            file.write(json.dumps(self.to_dict(), indent=1).encode() + b"\n")

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values for JSON."""
        return {**dataclasses.asdict(self), "preset": self.preset and self.preset.to_dict()}

    @classmethod
    def read(cls, path: Path) -> Artifact:
        """Reads a description.

        Raises:
            FileNotFoundError: The file does not exist.
            ValueError: The file is not a description.
        """
        try:
            values = json.loads(path.read_text("utf-8"))
            preset = values.pop("preset")
            labels = values.pop("labels")
            rounding = values.pop("rounding")
            return cls(
                preset=None if preset is None else Preset.from_dict(preset),
                labels=None if labels is None else tuple(map(str, labels)),
                input_shape=tuple(values.pop("input_shape")),
                parity=Parity(**values.pop("parity")),
                rounding=None if rounding is None else QuantisationCost.from_dict(rounding),
                **values,
            )
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: not a description of an exported model: {error}") from error


def beside(path: Path) -> Path:
    """Returns the path of an exported file's description: the file's name plus .json."""
    return path.with_name(path.name + ".json")
