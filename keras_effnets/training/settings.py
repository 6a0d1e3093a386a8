"""What a fine-tuning run is asked to do: one value, written into its folder, checked once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PRECISIONS = ("auto", "float32", "mixed_float16", "mixed_bfloat16")
CLASS_WEIGHTS = ("none", "balanced")
DISTRIBUTIONS = ("none", "mirrored", "processes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that decides how a run goes; two runs of equal settings on equal data are repeats.

    Attributes:
        data: A folder of pictures, or "stanford_dogs".
        model: A network's name, or the path of a .keras file.
        weights: A published set's name or a checkpoint's path; None takes the default set.
        side: Of the pictures that the network gets, pixels; None takes the weights' own.
        validation: Share of the training pictures held out to choose the best epoch, where the
            data has no validation folder; 0 holds none out, and the last epoch is the best.
        batch_size: Pictures a step, over all devices.
        head_epochs: Of stage one, at most: the classifier alone learns, the body is frozen.
        head_rate: Highest learning rate of stage one.
        head_augment: What is done to training pictures in stage one. Nothing lets the body's
            features be computed once for all epochs.
        tune_epochs: Of stage two, at most, in which the last stages learn too; 0 leaves it out.
        tune_rate: Highest learning rate of stage two, the classifier's.
        tune_since: The first stage or layer that learns in stage two, or the share of the body
            that stays frozen.
        tune_augment: What is done to training pictures in stage two.
        layer_decay: Factor on the learning rate from each block to the one before it.
        warmup: Share of a stage's steps in which the rate rises; then it falls as a cosine.
        weight_decay: Decoupled, of kernels, as AdamW takes it.
        label_smoothing: Share of the target that is spread over all classes.
        ema: Momentum of the averaged weights that are validated and kept, 0 for none.
        dropout: Before the classifier; None takes the network's own rate.
        patience: Epochs without a better validation loss after which a stage ends.
        class_weights: "balanced" gives every class the same say in the loss.
        precision: "auto" computes in float32 on a CPU, and mixed on a GPU that has it.
        seed: Of the classifier's start, the held-out pictures, the order, and every augmentation.
        distribute: "mirrored" shares each batch among the GPUs of this host, "processes" among
            processes that may be on several.
        deterministic: Whether the same seed gives the same bits, at some cost in speed.

    Raises:
        ValueError: For a value outside what its attribute allows.
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
        for name, low in (
            ("batch_size", 1),
            ("head_epochs", 0),
            ("tune_epochs", 0),
            ("patience", 1),
            ("seed", 0),
        ):
            self._check(name, isinstance(getattr(self, name), int), low, math.inf)
        if self.side is not None:
            self._check("side", isinstance(self.side, int), 1, math.inf)
        for name in ("head_rate", "tune_rate", "weight_decay"):
            self._check(name, True, 0, math.inf)
        for name in ("validation", "warmup", "label_smoothing", "ema", "dropout"):
            if getattr(self, name) is not None:
                self._check(name, True, 0, 1, below=True)
        self._check("layer_decay", self.layer_decay > 0, 0, 1)
        if not self.head_epochs + self.tune_epochs:
            raise ValueError("head_epochs=0 and tune_epochs=0: expected one of them above 0")
        for name, allowed in (
            ("precision", PRECISIONS),
            ("class_weights", CLASS_WEIGHTS),
            ("distribute", DISTRIBUTIONS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"{name}={getattr(self, name)!r}: expected one of {', '.join(allowed)}"
                )

    def _check(
        self, name: str, right_kind: bool, low: float, high: float, *, below: bool = False
    ) -> None:
        value = getattr(self, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        inside = number and low <= value and (value < high if below else value <= high)
        if not (right_kind and inside and math.isfinite(value)):
            limit = f"{low:g} or more" if high == math.inf else f"from {low:g} to {high:g}"
            raise ValueError(f"{name}={value!r}: expected {limit}" + (", exclusive" * below))

    def to_dict(self) -> dict[str, Any]:
        """The settings as values that JSON keeps as they are."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Settings:
        """The settings that `to_dict` described.

        Raises:
            ValueError: For a name that is no setting, or a value that is not allowed.
        """
        names = {field.name for field in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - names):
            raise ValueError(f"unknown settings {', '.join(unknown)}; there are {sorted(names)}")
        return cls(**values)
