"""Whether the weights that there are fit the network that wants them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from keras_effnets.images.preset import Preset
from keras_effnets.plan.deferred import Shapes, Values

Head = tuple[str, ...]
"""Names of the layers that `include_top=False` leaves out."""
AUXILIARY = ("aux1", "aux2")
"""Classifiers that a network may have beside its own, for training only."""


def matched(
    path: Path,
    values: Values,
    found: Shapes,
    head: Head,
    wanted: Shapes,
    fresh_classifier: bool,
) -> Values:
    """Checks that a file holds what the model wants, and nothing that nobody left out."""
    wanted, found = comparable(wanted, found, head, fresh_classifier)
    if _of(("classifier",), wanted) and not _of(("classifier",), found):
        raise ValueError(
            f"{path} holds no classifier: take include_top=False, or classes= other than "
            "the default for one that starts untrained"
        )
    if problems := list(differences(wanted, found)):
        raise ValueError(f"{path} does not fit the model:\n  " + "\n  ".join(problems))
    return {name: values[name] for name in wanted}


def comparable(
    wanted: Shapes, found: Shapes, head: Head, fresh_classifier: bool
) -> tuple[Shapes, Shapes]:
    """Both sides without what need not agree.

    That is the whole head where one of them has none, if it may start afresh then; each classifier
    that one of them lacks or has in another size, if those may; and auxiliary classifiers that
    nobody wants.
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


def _of(layers: Head, shapes: Shapes) -> set[str]:
    """The weights of these layers."""
    return {name for name in shapes if name.partition("/")[0] in layers}


def adapt_kernel(kernel: np.ndarray, channels: int, preset: Preset | None) -> np.ndarray:
    """Makes a kernel over RGB one over `channels`, so that grey pictures give what they gave.

    From three channels on, each new channel looks like red, green or blue in turn, and they
    share that colour's weight. One or two channels are mixed so that the result on a picture
    with equal channels is the same, normalisation included; one channel can do that only where
    there is none, or the same for all colours.

    Args:
        kernel: (H, W, 3, filters).
        channels: Of the new input.
        preset: The normalisation before the kernel, `preset.mean` and `preset.std` repeating
            over the channels; None where there is none.

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
