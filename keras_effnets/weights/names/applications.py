"""The names of keras.applications, and how its networks preprocess images."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from keras_effnets.weights.names.rule import Foreign, Prepared, Rule

NORMALIZATION = ("/mean", "/variance", "/count")
"""Endings of a Normalization layer's variables."""
PUBLISHED = np.array([0.229, 0.224, 0.225])
"""ImageNet's standard deviations, for pixels from 0 to 1."""
_EPSILON = 1e-7  # the least standard deviation of Keras's Normalization


def conv_norm(conv: str, norm: str, target: str) -> Iterator[Rule]:
    """A convolution without bias and its batch norm."""
    yield Rule(f"{conv}/kernel", f"{target}/conv/kernel", "kernel")
    yield from batch_norm(norm, f"{target}/norm")


def batch_norm(layer: str, target: str) -> Iterator[Rule]:
    """A batch norm."""
    for variable in ("gamma", "beta", "moving_mean", "moving_variance"):
        yield Rule(f"{layer}/{variable}", f"{target}/{variable}", "vector")


def biased(layer: str, target: str, kind: str) -> Iterator[Rule]:
    """A layer with kernel and bias."""
    yield Rule(f"{layer}/kernel", f"{target}/kernel", kind)
    yield Rule(f"{layer}/bias", f"{target}/bias", "vector")


def normalization_of(file: Foreign) -> str | None:
    """The path of the network's own Normalization layer, or None.

    Raises:
        ValueError: If there is more than one.
    """
    found = [
        name.removesuffix("/variance")
        for name in file.checkpoint.tensors
        if name.startswith(file.prefix)
        and name.endswith("/variance")
        and name.count("/") == file.prefix.count("/") + 1
    ]
    if len(found) > 1:
        raise ValueError(
            f"{file.checkpoint.path} has {len(found)} Normalization layers, {', '.join(found)}: "
            "which one is the network's is unclear"
        )
    return found[0] if found else None


def preset(file: Foreign) -> Prepared | None:
    """Mean and std for pixels 0-255, from the layers before the stem.

    These are a Rescaling to 0-1, a Normalization with numbers from the file, and a second Rescaling
    in networks built with `weights="imagenet"`: the published variances are really standard
    deviations, and it undoes the square root that is taken of them.

    Raises:
        ValueError: For any other layers.
    """
    layer = normalization_of(file)
    if layer is None:
        return None
    mean, variance = (_numbers(file, f"{layer}/{name}") for name in ("mean", "variance"))
    std = np.maximum(np.sqrt(variance), _EPSILON)
    chain, origin = _chain(file, layer, variance)
    scale, offset = np.ones(3), np.zeros(3)
    for step in chain:
        if step is None:
            scale, offset = scale / std, (offset - mean) / std
        else:
            scale, offset = scale * step[0], offset * step[0] + step[1]
    found = replace(
        file.config.input_preset, mean=tuple(0.0 - offset / scale), std=tuple(1 / scale)
    )
    return Prepared(found, origin)


Step = tuple[Any, Any] | None
"""A Rescaling's scale and offset; None for the Normalization."""


def _chain(file: Foreign, layer: str, variance: np.ndarray) -> tuple[list[Step], str]:
    """The steps between pixels and stem, in order, and how they are known."""
    layers = file.checkpoint.layers
    home = layer.removesuffix(layer.rpartition("/")[2])
    siblings = {
        path: each for path, each in layers.items() if path.rpartition("/")[0] == home.rstrip("/")
    }
    rescalings = [each for each in siblings.values() if each.kind == "rescaling"]
    if rescalings and all("scale" in each.config for each in rescalings):
        chain: list[Step] = []
        for path, each in siblings.items():
            if path == f"{home}stem_conv":
                break
            if each.kind == "rescaling":
                chain.append((_three(each.config["scale"]), _three(each.config.get("offset", 0.0))))
            elif path == layer:
                chain.append(None)
        return chain, "the layers before the stem in the file"
    to_unit: list[Step] = [(1 / 255, 0.0), None]
    second: Step = (1 / np.sqrt(PUBLISHED), 0.0)
    # Weights alone do not tell which layers surround the Normalization. Networks with the published
    # variances divide by those very numbers, whether or not the Keras that wrote the file had the
    # second Rescaling yet.
    if np.allclose(variance, PUBLISHED, rtol=1e-5, atol=0):
        return [*to_unit, second], "the published variances in the file's Normalization"
    if len(rescalings) > 1:
        return [*to_unit, second], "the file's Normalization, between two Rescalings"
    return to_unit, "the file's Normalization"


def _numbers(file: Foreign, name: str) -> np.ndarray:
    tensor = file.checkpoint.tensors.get(name)
    if tensor is None or tensor.size != 3:
        raise ValueError(f"{file.checkpoint.path}: {name} does not have three numbers")
    return np.asarray(tensor, np.float64).reshape(3)


def _three(value: Any) -> np.ndarray:
    try:
        return np.broadcast_to(np.asarray(value, np.float64), (3,))
    except (TypeError, ValueError):
        raise ValueError(f"a Rescaling by {value!r:.80} is neither one number nor three") from None
