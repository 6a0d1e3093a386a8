"""A run's training curves and confusion matrix as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weights_tools.formats.atomic import replacing

# Okabe and Ito's blue and vermilion, distinguishable with any kind of colour vision.
_TRAINING, _VALIDATION = "#0072b2", "#d55e00"
_MAX_NUMBERED = 20
"""The largest number of classes whose confusion matrix has counts in its cells."""


def draw_curves(history: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws loss and accuracy over the epochs, with a line where stage two begins.

    Args:
        history: One record for each epoch.
        path: The PNG to write.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.6), dpi=120, layout="constrained")
    epochs = np.arange(1, len(history) + 1)
    starts = [
        index + 0.5
        for index in range(1, len(history))
        if history[index]["stage"] != history[index - 1]["stage"]
    ]
    for axes, key, title, scale in zip(
        figure.subplots(1, 2),
        ("loss", "accuracy"),
        ("loss", "accuracy, %"),
        (1, 100),
        strict=True,
    ):
        lines = ((key, "training", _TRAINING), (f"val_{key}", "validation", _VALIDATION))
        for name, label, colour in lines:
            if name in history[0]:
                values = [scale * record[name] for record in history]
                marker = "o" if len(history) < 40 else None
                axes.plot(epochs, values, color=colour, label=label, marker=marker, markersize=3)
        for start in starts:
            axes.axvline(start, color="#808080", linewidth=1, linestyle="--")
            axes.annotate(
                "stage two",
                (start, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, -10),
                textcoords="offset points",
                fontsize=8,
                color="#606060",
            )
        axes.set_xlabel("epoch")
        axes.set_title(title, fontsize=10)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(color="#e5e5e5")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    _write(figure, path)


def draw_confusion(
    counts: NDArray[np.int64], classes: Sequence[str], part: str, path: Path
) -> None:
    """Draws true classes down and predicted classes across, shaded by each row's shares.

    Args:
        counts: The number of images, (true classes, predicted classes).
        classes: The class names.
        part: The part of the data, for the title.
        path: The PNG to write.
    """
    from matplotlib.figure import Figure

    number = len(classes)
    side = min(16.0, max(4.0, 1.6 + 0.42 * number))
    figure = Figure(figsize=(side + 0.6, side), dpi=120, layout="constrained")
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    size = 9 if number <= _MAX_NUMBERED else 5
    axes.set_xticks(
        range(number), classes, rotation=90 if number > 3 else 0, fontsize=size, parse_math=False
    )
    axes.set_yticks(range(number), classes, fontsize=size, parse_math=False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{part} images", fontsize=10)
    if number <= _MAX_NUMBERED:
        for (row, column), count in np.ndenumerate(counts):
            ink = "white" if share[row, column] > 0.5 else "#1b1f24"
            axes.text(column, row, str(count), ha="center", va="center", color=ink, fontsize=9)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    _write(figure, path)


def _write(figure: Any, path: Path) -> None:
    with replacing(path) as file:
        figure.savefig(file, format="png")
