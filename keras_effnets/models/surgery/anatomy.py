"""The parts of a network of this package, found from its layers: a trunk, and heads on it."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real
from typing import Any

import keras

from keras_effnets.layers import AuxiliaryClassifier, Classifier, ConvClassifier, Preprocessing

_PROBE = 4096
"""Side of the image whose maps show the strides, pixels: large enough that borders don't matter."""
_STAGE = re.compile(r"(stage\d+)(_block\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The layers of a network, by role."""

    trunk: tuple[Any, ...]
    """All layers except inputs, preprocessing and heads, in order."""
    heads: tuple[Any, ...]
    """The classifiers; the main one is last."""
    levels: dict[str, int]
    """k by layer name, for each layer whose output is a map of stride 2^k."""

    @property
    def layers(self) -> tuple[Any, ...]:
        """The trunk and then the heads."""
        return (*self.trunk, *self.heads)

    @property
    def classifier(self) -> Any:
        """The main head; None if there is none."""
        return self.heads[-1] if self.heads else None

    @property
    def blocks(self) -> list[Any]:
        """The layers of the trunk that have weights."""
        return [layer for layer in self.trunk if layer.weights]

    @property
    def stages(self) -> dict[str, tuple[int, int]]:
        """Where each stage begins and ends in the trunk, the end excluded.

        Names such as `stage2_block0` give the stage. In networks without them, stage k lasts as
        long as the stride is at most 2^k.
        """
        found: dict[str, tuple[int, int]] = {}
        for index, stage in self._staged():
            first, _ = found.get(stage, (index, index))
            found[stage] = (first, index + 1)
        return found

    def _staged(self) -> Iterator[tuple[int, str]]:
        names = [layer.name for layer in self.trunk]
        if any(map(_STAGE.fullmatch, names)):
            for index, name in enumerate(names):
                if match := _STAGE.fullmatch(name):
                    yield index, match[1]
        else:
            for index, name in enumerate(names):
                if name in self.levels:
                    yield index, f"stage{max(self.levels[name], 1)}"

    def position(self, where: str | float, *, argument: str, included: bool) -> int:
        """Returns how many of `layers` come before a cut.

        Args:
            where: A layer's or a stage's name, or a share of `blocks`, in [0, 1].
            argument: Name of the caller's argument, for error messages.
            included: Whether the cut is after the named layer or stage; otherwise it is before.

        Raises:
            ValueError: The name is unknown, or the share is outside [0, 1].
        """
        if isinstance(where, str):
            names = [layer.name for layer in self.layers]
            stages = self.stages
            if where in names:
                first = names.index(where)
                begin, end = first, first + 1
            elif where in stages:
                begin, end = stages[where]
            else:
                known = ", ".join([*stages, *(name for name in names if name not in stages)])
                raise ValueError(
                    f"{argument}={where!r} is not a layer or a stage; there are {known}"
                )
            return end if included else begin
        if isinstance(where, bool) or not isinstance(where, Real) or not 0 <= where <= 1:
            raise ValueError(f"{argument}={where!r} is neither a name nor a number in [0, 1]")
        blocks = self.blocks
        count = round(where * len(blocks))
        return len(self.trunk) if count == len(blocks) else self.trunk.index(blocks[count])


def dissect(model: Any) -> Anatomy:
    """Returns the parts of a network of this package.

    Raises:
        ValueError: The model was not built by this package.
    """
    layers = model.layers if isinstance(model, keras.Model) else []
    first = next((layer for layer in layers if isinstance(layer, Preprocessing)), None)
    if first is None:
        raise ValueError(
            f"model={getattr(model, 'name', model)!r} is not a network of keras_effnets: it has "
            "no Preprocessing layer"
        )
    heads = [layer for layer in layers if isinstance(layer, Classifier | ConvClassifier)]
    entry = (keras.layers.InputLayer, Preprocessing)
    return Anatomy(
        trunk=tuple(
            layer for layer in layers if not isinstance(layer, entry) and layer not in heads
        ),
        heads=tuple(sorted(heads, key=lambda head: not isinstance(head, AuxiliaryClassifier))),
        levels=_levels(layers[layers.index(first) :], heads),
    )


def _levels(layers: list[Any], heads: list[Any]) -> dict[str, int]:
    """Returns the level of each map; each layer's input is the output of the one before."""
    shape: Any = (1, _PROBE, _PROBE, 3)
    levels: dict[str, int] = {}
    for layer in layers:
        if layer in heads:
            continue
        shape = layer.compute_output_shape(shape)
        # Features averaged to a fixed size for dense layers have no stride.
        if len(shape) != 4 or isinstance(layer, keras.layers.AdaptiveAveragePooling2D):
            break
        if not isinstance(layer, Preprocessing):
            levels[layer.name] = round(math.log2(_PROBE / shape[1]))
    return levels
