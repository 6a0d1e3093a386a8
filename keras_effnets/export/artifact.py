"""What an exported model says about itself, in a small JSON beside it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from keras_effnets.export.parity import Parity
from keras_effnets.export.quantisation_cost import Rounding
from keras_effnets.images.preset import Preset
from keras_effnets.layers import Classifier, ConvClassifier, Preprocessing
from keras_effnets.version import VERSION
from weights_tools.formats.atomic import replacing

FORMATS = ("saved-model", "litert", "onnx", "openvino")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One exported model.

    Attributes:
        format: One of `FORMATS`.
        model: The model's name.
        precision: Of its arithmetic: "float32", "float16", "dynamic", "int8", "bfloat16".
        input_shape: (H, W, C) of one picture; None for a side that may be any.
        preset: How it wants its pictures; None for a model that does not say.
        normalizes: Whether pixels 0-255 go in; otherwise what the preset makes of them.
        labels: The classes' names; None where the model has none.
        logits: Whether it gives logits, not probabilities.
        parity: How near it is to the model that it came from.
        bytes: Size of all its files.
        rounding: What int8 costs; None of what is not rounded to it.
        release: Of this package.
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
    rounding: Rounding | None = None
    release: str = VERSION

    @classmethod
    def of(cls, model: keras.Model, **known: Any) -> Artifact:
        """What the layers of `model` say, and what is known of the file."""
        first = next((layer for layer in model.layers if isinstance(layer, Preprocessing)), None)
        heads = [layer for layer in model.layers if isinstance(layer, Classifier | ConvClassifier)]
        head = heads[-1] if heads else None
        return cls(
            model=model.name,
            input_shape=tuple(model.input_shape[1:]),
            preset=first.preset if first else None,
            normalizes=bool(first and first.normalize),
            labels=head.labels if head else None,
            logits=bool(head and head.activation in (None, "linear")),
            **known,
        )

    def write(self, path: Path) -> None:
        """Writes the JSON, whole or not at all."""
        with replacing(path) as file:
            file.write(json.dumps(self.to_dict(), indent=1).encode() + b"\n")

    def to_dict(self) -> dict[str, Any]:
        """Values that JSON keeps as they are."""
        return {**dataclasses.asdict(self), "preset": self.preset and self.preset.to_dict()}

    @classmethod
    def read(cls, path: Path) -> Artifact:
        """Reads such a JSON.

        Raises:
            FileNotFoundError: If there is none.
            ValueError: If it is something else.
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
                rounding=None if rounding is None else Rounding.from_dict(rounding),
                **values,
            )
        except FileNotFoundError:
            raise
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}: no description of an exported model: {error}") from error


def beside(path: Path) -> Path:
    """Where the JSON of an exported file is: the file's name and .json."""
    return path.with_name(path.name + ".json")
