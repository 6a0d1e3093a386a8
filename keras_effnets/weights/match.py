"""Checks whether a file's weights fit a network."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_effnets.images.preset import Preset
from keras_effnets.plan.deferred import Shapes, Values

AUXILIARY = ("aux1", "aux2")
"""Auxiliary classifiers, for training only."""


def matched(
    path: Path,
    values: Values,
    found: Shapes,
    head: tuple[str, ...],
    wanted: Shapes,
    fresh_classifier: bool,
) -> Values:
    """The values for a model, after checking that none is missing, unexpected or mis-shaped."""
    wanted, found = comparable(wanted, found, head, fresh_classifier)
    if _of(("classifier",), wanted) and not _of(("classifier",), found):
        raise ValueError(
            f"{path} has no classifier: pass include_top=False, or classes= other than the "
            "default to start with an untrained one"
        )
    if problems := list(differences(wanted, found)):
        raise ValueError(f"{path} does not fit the model:\n  " + "\n  ".join(problems))
    return {name: values[name] for name in wanted}


def comparable(
    wanted: Shapes, found: Shapes, head: tuple[str, ...], fresh_classifier: bool
) -> tuple[Shapes, Shapes]:
    """Both sides without the weights that need not agree.

    These are the head if one side has none and it may start untrained; with `fresh_classifier`,
    each classifier that is missing or of another size on one side; and unwanted auxiliary
    classifiers.
    """
    if not _of(head, wanted):
        dropped = _of(head, found)
    elif fresh_classifier and not _of(head, found):
        dropped = _of(head, wanted)
    else:
        dropped = _of(AUXILIARY, found) - wanted.keys()
        for layer in ("classifier", *AUXILIARY) if fresh_classifier else ():
            names = _of((layer,), {**wanted, **found})
            if any(wanted.get(name) != found.get(name) for name in names):
                dropped |= names
    return (
        {name: shape for name, shape in wanted.items() if name not in dropped},
        {name: shape for name, shape in found.items() if name not in dropped},
    )


def _of(layers: tuple[str, ...], shapes: Shapes) -> set[str]:
    """Names of these layers' weights."""
    return {name for name in shapes if name.partition("/")[0] in layers}


def adapt_kernel(kernel: np.ndarray, channels: int, preset: Preset | None) -> np.ndarray:
    """Adapts an RGB kernel to other channels, so that grey images give the same result.

    With three channels or more, each channel copies red, green or blue in turn, and the copies
    share that colour's weight. One or two channels are mixed so that the result on an image with
    equal channels is the same, including normalisation; with one channel that needs no
    normalisation, or an equal one for all colours.

    Args:
        kernel: (H, W, 3, filters).
        channels: Channels of the new input.
        preset: The normalisation before the kernel, its `mean` and `std` repeated over the
            channels; None for no normalisation.

    Returns:
        (H, W, channels, filters).
    """
    if channels >= 3:
        colour = np.arange(channels) % 3
        return kernel[:, :, colour] / np.bincount(colour)[colour][:, None].astype(kernel.dtype)
    mean, std = (np.zeros(3), np.ones(3)) if preset is None else (preset.mean, preset.std)
    # A grey value g reaches channel c as g / std[c] - mean[c] / std[c]: two coefficients each.
    lines = np.stack([1 / np.asarray(std), -np.asarray(mean) / std])
    mixing = np.linalg.pinv(lines[:, :channels]) @ lines
    return np.einsum("jc,hwcf->hwjf", mixing, kernel).astype(kernel.dtype)


def differences(wanted: Shapes, found: Shapes) -> Iterator[str]:
    """Yields a line for each name that is missing, unexpected or of another shape."""
    for name, shape in wanted.items():
        if name not in found:
            yield f"missing: {name} {shape}"
        elif found[name] != shape:
            yield f"mis-shaped: {name} is {found[name]}, the model has {shape}"
    yield from (f"unexpected: {name} {found[name]}" for name in found if name not in wanted)
