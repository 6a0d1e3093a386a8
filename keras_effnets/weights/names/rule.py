"""Rules of a conversion: which tensor becomes which variable, and how."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from keras_effnets.images.preset import Preset
from keras_effnets.plan.config import ModelConfig

if TYPE_CHECKING:
    from weights_tools.formats.checkpoint import Checkpoint


class Rule(NamedTuple):
    """A source tensor, the variable it becomes, and the transpose between."""

    source: str
    """Key in the checkpoint."""
    target: str
    """Path of the variable."""
    kind: str
    """The transform: a key of `AXES`; `"flatten:6"` for PyTorch's dense layer after flattened
    features (C, 6, 6), which are (6, 6, C) here; `"patch:7"` for its convolution over whole
    features (C, 7, 7), a dense layer here; `"squeeze:conv"` and `"squeeze:kernel"` for PyTorch's
    and Keras's 1x1 convolution that is a dense layer here; `"bgr"` for the first kernel of a
    Keras network that expects blue first. Never guessed from a shape."""


AXES: dict[str, tuple[int, ...]] = {
    "conv": (2, 3, 1, 0),  # (O, I, h, w) to (h, w, I, O)
    "depthwise": (2, 3, 0, 1),  # (C, 1, h, w) to (h, w, C, 1)
    "dense": (1, 0),  # (O, I) to (I, O)
    "vector": (0,),
    # In Keras's order already.
    "kernel": (0, 1, 2, 3),
    "matrix": (0, 1),
}


class Foreign(NamedTuple):
    """A file in which a source's names were found, and the network that it is for."""

    checkpoint: "Checkpoint"
    prefix: str
    """The prefix of the network's names: "" or "efficientnetb0/"."""
    config: ModelConfig


class Prepared(NamedTuple):
    """How a file's network expects its images, and how that is known."""

    preset: Preset
    origin: str


@dataclass(frozen=True, slots=True)
class Source:
    """One spelling of a family's checkpoints."""

    profile: str
    rules: Callable[[Any], Iterator[Rule]]
    """The rules, from the model's config."""
    ignored: tuple[str, ...] = ("num_batches_tracked",)
    """Endings of keys to ignore: PyTorch's batch-norm counters."""
    epsilon: float | None = None
    """The batch norms' epsilon; None for the profile's."""
    sign: Callable[[Foreign], str | None] = lambda file: None
    """Evidence that a file is from this source and not another with the same names, or None."""
    preset: Callable[[Foreign], Prepared | None] = lambda file: None
    """How the file's network expects its images, if not as the profile says.

    Raises ValueError if the file describes it in a way that cannot be followed."""
    architecture: Callable[[Any], str | None] = lambda config: str(config.name)
    """The library's name of a config's network; None if the library does not have it."""


def transform(kind: str, tensor: np.ndarray) -> np.ndarray:
    """The tensor in Keras's order; a view, except after flattened features."""
    if side := _flattened_side(kind):
        outputs = len(tensor)
        # (O, C · side²) to (side² · C, O)
        picture = tensor.reshape(outputs, -1, side, side)  # a patch has four axes already
        return picture.transpose(2, 3, 1, 0).reshape(-1, outputs)
    if inner := _squeezed_kind(kind):
        return transform(inner, tensor)[0, 0]
    if kind == "bgr":
        return tensor[:, :, ::-1]
    return tensor.transpose(AXES[kind])


def inverse(kind: str, array: np.ndarray) -> np.ndarray:
    """The inverse of `transform`."""
    if side := _flattened_side(kind):
        outputs = array.shape[-1]
        picture = array.reshape(side, side, -1, outputs)
        found = picture.transpose(3, 2, 0, 1)
        return found if kind.startswith("patch") else found.reshape(outputs, -1)
    if inner := _squeezed_kind(kind):
        return inverse(inner, array[None, None])
    if kind == "bgr":
        return array[:, :, ::-1]
    return array.transpose(np.argsort(AXES[kind]))


def transformed_shape(kind: str, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The shape after `transform`; None if that is impossible."""
    if side := _flattened_side(kind):
        if kind.startswith("patch"):
            return (math.prod(shape[1:]), shape[0]) if shape[2:] == (side, side) else None
        return shape[::-1] if len(shape) == 2 and shape[1] % side**2 == 0 else None
    if inner := _squeezed_kind(kind):
        kernel = transformed_shape(inner, shape)
        return kernel[2:] if kernel and kernel[:2] == (1, 1) else None
    if kind == "bgr":
        return shape if len(shape) == 4 else None
    axes = AXES[kind]
    return tuple(shape[axis] for axis in axes) if len(shape) == len(axes) else None


def _flattened_side(kind: str) -> int:
    """The side in a kind such as "flatten:6" or "patch:7"; 0 for any other."""
    name, _, side = kind.partition(":")
    return int(side) if name in ("flatten", "patch") else 0


def _squeezed_kind(kind: str) -> str:
    """The convolution's kind in one such as "squeeze:conv"; empty for any other."""
    name, _, inner = kind.partition(":")
    return inner if name == "squeeze" else ""


def conv_norm(conv: str, norm: str, target: str, kind: str = "conv") -> Iterator[Rule]:
    """A convolution without bias and its batch norm, as `ConvNormAct` holds them."""
    yield Rule(f"{conv}.weight", f"{target}/conv/kernel", kind)
    yield from batch_norm(norm, f"{target}/norm")


def batch_norm(layer: str, target: str) -> Iterator[Rule]:
    """A batch norm."""
    yield Rule(f"{layer}.weight", f"{target}/gamma", "vector")
    yield Rule(f"{layer}.bias", f"{target}/beta", "vector")
    yield Rule(f"{layer}.running_mean", f"{target}/moving_mean", "vector")
    yield Rule(f"{layer}.running_var", f"{target}/moving_variance", "vector")


def biased(layer: str, target: str, kind: str) -> Iterator[Rule]:
    """A layer with kernel and bias."""
    yield Rule(f"{layer}.weight", f"{target}/kernel", kind)
    yield Rule(f"{layer}.bias", f"{target}/bias", "vector")


def hidden_top(side: int, first: int, second: int, last: int) -> Iterator[Rule]:
    """The dense layers after flattened features of `side` × `side`, by their numbers.

    PyTorch's sequences number every module: `features.{n}` and `classifier.{n}`.
    """
    yield from biased(f"classifier.{first}", "fc6/dense", f"flatten:{side}")
    yield from biased(f"classifier.{second}", "fc7/dense", "dense")
    yield from biased(f"classifier.{last}", "classifier/dense", "dense")


def convolutions(source: str, target: str, count: int) -> Iterator[Rule]:
    """The convolutions of a residual block, `conv{n}` and `bn{n}` in torchvision's names."""
    for part in range(1, count + 1):
        yield from conv_norm(f"{source}.conv{part}", f"{source}.bn{part}", f"{target}/conv{part}")


def projection(source: str, target: str) -> Iterator[Rule]:
    """The projection of a residual block's shortcut, `downsample` in torchvision's names."""
    yield from conv_norm(f"{source}.downsample.0", f"{source}.downsample.1", f"{target}/skip")
