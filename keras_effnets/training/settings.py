"""The settings of a fine-tuning run, checked once and written to its folder."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")
CLASS_WEIGHTS = ("none", "balanced")
DISTRIBUTIONS = ("none", "mirrored", "processes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings that affect a run's result; equal settings on equal data repeat the run.

    Attributes:
        data: A folder of images, or "stanford_dogs".
        model: A network's name, or the path of a .keras file.
        weights: The name of published weights or a checkpoint's path; None is the default set.
        side: The network's input size in pixels; None is the weights' own.
        validation: The share of the training images held out to choose the best epoch if the
            data has no validation folder; with 0 the last epoch is taken.
        batch_size: The number of images in a step, over all devices.
        head_epochs: The most epochs in stage one, which trains only the classifier.
        head_rate: The peak learning rate of stage one.
        head_augment: Augmentation in stage one. Without any, the body's features are computed
            once for all epochs.
        tune_epochs: The most epochs in stage two, which also trains the last stages of the body;
            0 skips it.
        tune_rate: The classifier's peak learning rate in stage two.
        tune_since: The first stage or layer that trains in stage two, or the share of the body
            that stays frozen.
        tune_augment: Augmentation in stage two.
        layer_decay: The factor on the learning rate from each block to the one before it.
        warmup: The share of a stage's steps in which the learning rate rises; then it falls as
            a cosine.
        weight_decay: AdamW's decoupled weight decay, applied to kernels only.
        label_smoothing: The share of the target that is spread over all classes.
        ema: The momentum of the averaged weights that are validated and kept; 0 for no averaging.
        dropout: The dropout rate before the classifier; None is the network's own.
        patience: The number of epochs without a lower validation loss that ends a stage.
        class_weights: "balanced" gives every class the same weight in the loss.
        precision: "auto" is float32 on a CPU and mixed bfloat16 on a GPU.
        seed: The random seed of the classifier, the held-out images, the order and augmentation.
        distribute: "mirrored" shares each batch among this host's GPUs, "processes" among
            processes on one or more hosts.
        deterministic: Whether the same seed gives the same bits, at some cost in speed.

    Raises:
        ValueError: If a value is out of range.
    """

    data: str
    model: str
    weights: str | None = None
    side: int | None = None
    validation: float = 0.1
    batch_size: int = 32
    head_epochs: int = 30
    head_rate: float = 3e-3
    head_augment: tuple[str, ...] = ()
    tune_epochs: int = 5
    tune_rate: float = 1e-4
    tune_since: str | float = 0.6
    tune_augment: tuple[str, ...] = ("flip", "crop")
    layer_decay: float = 0.8
    warmup: float = 0.1
    weight_decay: float = 1e-2
    label_smoothing: float = 0.1
    ema: float = 0.0
    dropout: float | None = None
    patience: int = 10
    class_weights: str = "none"
    precision: str = "auto"
    distribute: str = "none"
    seed: int = 0
    deterministic: bool = False

    def __post_init__(self) -> None:
        for name in ("head_augment", "tune_augment"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        integers = {"batch_size": 1, "head_epochs": 0, "tune_epochs": 0, "patience": 1, "seed": 0}
        for name, lowest in {**integers, "side": 1}.items():
            value = getattr(self, name)
            if not (value is None and name == "side"):
                allowed = _is_number(value, int) and value >= lowest
                self._require(name, allowed, f"an integer of {lowest} or more")
        for name in ("head_rate", "tune_rate", "weight_decay"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and value >= 0, "a number of 0 or more")
        for name in ("validation", "warmup", "label_smoothing", "ema", "dropout"):
            value = getattr(self, name)
            if not (value is None and name == "dropout"):
                allowed = _is_number(value) and 0 <= value < 1
                self._require(name, allowed, "a number of 0 or more and below 1")
        decay = self.layer_decay
        allowed = _is_number(decay) and 0 < decay <= 1
        self._require("layer_decay", allowed, "a number above 0 and at most 1")
        if not self.head_epochs + self.tune_epochs:
            raise ValueError("head_epochs=0 and tune_epochs=0: expected at least one above 0")
        for name, values in (
            ("precision", PRECISIONS),
            ("class_weights", CLASS_WEIGHTS),
            ("distribute", DISTRIBUTIONS),
        ):
            self._require(name, getattr(self, name) in values, f"one of {', '.join(values)}")

    def _require(self, name: str, allowed: bool, expected: str) -> None:
        if not allowed:
            raise ValueError(f"{name}={getattr(self, name)!r}: expected {expected}")

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }


def _is_number(value: Any, kind: Any = int | float) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
