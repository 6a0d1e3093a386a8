"""One line of a conversion: which tensor becomes which variable, and how."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Rule(NamedTuple):
    """A source tensor, the variable it becomes, and the transpose between."""

    source: str
    """Key in the checkpoint."""
    target: str
    """Path of the variable."""
    kind: str
    """Which transpose: a key of `AXES`. Never guessed from a shape."""


AXES: dict[str, tuple[int, ...]] = {
    "conv": (2, 3, 1, 0),  # (O, I, h, w) to (h, w, I, O)
    "depthwise": (2, 3, 0, 1),  # (C, 1, h, w) to (h, w, C, 1)
    "dense": (1, 0),  # (O, I) to (I, O)
    "vector": (0,),
}


@dataclass(frozen=True, slots=True)
class Source:
    """One spelling of a family's checkpoints."""

    profile: str
    rules: Callable[[Any], Iterator[Rule]]
    """From the model's config."""
    ignored: tuple[str, ...] = ("num_batches_tracked",)
    """Endings of keys that no network needs: the counters of PyTorch's batch norm."""


def transform(kind: str, tensor: np.ndarray) -> np.ndarray:
    """The tensor with Keras's order of axes; a view."""
    return tensor.transpose(AXES[kind])


def transformed_shape(kind: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape after `transform`, or None where it has another number of axes."""
    axes = AXES[kind]
    return tuple(shape[axis] for axis in axes) if len(shape) == len(axes) else None


def unit(conv: str, norm: str, target: str, kind: str = "conv") -> Iterator[Rule]:
    """A convolution without bias and its batch norm, as `ConvNormAct` holds them."""
    yield Rule(f"{conv}.weight", f"{target}/conv/kernel", kind)
    yield Rule(f"{norm}.weight", f"{target}/norm/gamma", "vector")
    yield Rule(f"{norm}.bias", f"{target}/norm/beta", "vector")
    yield Rule(f"{norm}.running_mean", f"{target}/norm/moving_mean", "vector")
    yield Rule(f"{norm}.running_var", f"{target}/norm/moving_variance", "vector")


def biased(layer: str, target: str, kind: str) -> Iterator[Rule]:
    """A layer with kernel and bias."""
    yield Rule(f"{layer}.weight", f"{target}/kernel", kind)
    yield Rule(f"{layer}.bias", f"{target}/bias", "vector")
