"""The outcome of a run and its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_effnets.data import Broken, Pictures
from keras_effnets.images.contact_sheet import contact_sheet
from keras_effnets.training.plots import draw_confusion, draw_curves
from keras_effnets.training.run_folder import RunFolder
from keras_effnets.training.settings import Settings

_MAX_MISTAKES = 16
"""The most mistakes shown in the report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a run.

    Attributes:
        model: The model with the best epoch's weights.
        folder: The run's folder.
        part: The part evaluated: "test"; without it "validation"; without either "training".
        pictures: The images evaluated.
        scores: The model's scores for them, (N, classes).
        history: One record for each epoch.
        broken: The images left out because they could not be read.
        settings: The run's settings.
        train: The number of training images.
        validation: The number of validation images, which chose the epoch.
    """

    model: Any
    folder: Path
    part: str
    pictures: Pictures
    scores: NDArray[np.float32]
    history: tuple[dict[str, Any], ...]
    broken: tuple[Broken, ...]
    settings: Settings
    train: int
    validation: int

    @property
    def predicted(self) -> NDArray[np.intp]:
        """The class with the highest score, (N,)."""
        return np.argmax(self.scores, axis=1)

    @property
    def correct(self) -> int:
        """The number of correct predictions."""
        return int((self.predicted == self.pictures.targets).sum())

    @property
    def accuracy(self) -> float:
        """The share of correct predictions, 0-1."""
        return self.correct / len(self.pictures)

    @property
    def line(self) -> str:
        """The result as a line of text."""
        total = len(self.pictures)
        return f"{self.part} accuracy: {self.accuracy:.1%} ({self.correct} of {total})".replace(
            "%", " %"
        )


def write_report(folder: RunFolder, outcome: Outcome) -> Outcome:
    """Writes the run's tables, plots and `report.md`; returns the outcome."""
    predicted, targets = outcome.predicted, outcome.pictures.targets
    classes = outcome.pictures.classes
    folder.write_table(
        folder.predictions,
        [
            {
                "path": path,
                "class": classes[target],
                "predicted": classes[guess],
                "score": round(float(row[guess]), 6),
            }
            for path, target, guess, row in zip(
                outcome.pictures.paths, targets, predicted, outcome.scores, strict=True
            )
        ],
    )
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (targets, predicted), 1)
    draw_curves(outcome.history, folder.curves)
    draw_confusion(counts, classes, outcome.part, folder.confusion)
    worst = _worst(outcome)
    if worst:
        contact_sheet(worst, folder.mistakes)
    else:
        folder.mistakes.unlink(missing_ok=True)
    folder.write_text(folder.report, _page(folder, outcome, counts, len(worst)))
    return outcome


def _worst(outcome: Outcome) -> list[tuple[str, list[tuple[str, float]]]]:
    """The mistakes with the highest scores: path, then predicted and true class with scores."""
    rows = np.arange(len(outcome.pictures))
    predicted, targets, scores = outcome.predicted, outcome.pictures.targets, outcome.scores
    wrong = rows[predicted != targets]
    wrong = wrong[np.argsort(-scores[wrong, predicted[wrong]], kind="stable")][:_MAX_MISTAKES]
    classes = outcome.pictures.classes
    return [
        (
            outcome.pictures.paths[row],
            [
                (f"predicted {classes[predicted[row]]}", float(scores[row, predicted[row]])),
                (f"true {classes[targets[row]]}", float(scores[row, targets[row]])),
            ],
        )
        for row in wrong
    ]


def _page(folder: RunFolder, outcome: Outcome, counts: NDArray[np.int64], worst: int) -> str:
    settings = outcome.settings
    low, high = wilson(outcome.correct, len(outcome.pictures))
    lines = [
        f"# {settings.model} on {Path(settings.data).name}",
        "",
        outcome.line,
        "",
        f"95 % interval {100 * low:.1f} to {100 * high:.1f} % (Wilson). Trained on "
        f"{outcome.train:,} images of {len(counts)} classes; {outcome.validation:,} held out to "
        "choose the epoch.",
        "",
        f"![Loss and accuracy by epoch]({folder.curves.name})",
        "",
        *_stage_lines(outcome.history),
        "",
        f"![Confusion matrix]({folder.confusion.name})",
        "",
        "| class | pictures | recall | precision |",
        "|---|---:|---:|---:|",
        *_class_rows(counts, outcome.pictures.classes),
        "",
    ]
    if worst:
        lines += [
            f"The {worst} most confident of {len(outcome.pictures) - outcome.correct} mistakes:",
            "",
            f"![Mistakes with predicted and true classes]({folder.mistakes.name})",
        ]
    else:
        lines.append("No mistakes.")
    if outcome.broken:
        lines += ["", f"{len(outcome.broken)} images could not be read and were left out:", ""]
        lines += [f"- {each.error}" for each in outcome.broken]
    lines += [
        "",
        f"All predictions are in `{folder.predictions.name}`, the settings in "
        f"`{folder.config.name}`, the model in `{folder.best.name}`.",
    ]
    return "\n".join(lines) + "\n"


def _stage_lines(history: Sequence[dict[str, Any]]) -> list[str]:
    lines = ["| stage | epochs | seconds | best validation loss | its accuracy |"]
    lines.append("|---|---:|---:|---:|---:|")
    for stage in dict.fromkeys(record["stage"] for record in history):
        records = [record for record in history if record["stage"] == stage]
        seconds = sum(record["seconds"] for record in records)
        row = f"| {stage} | {len(records)} | {seconds:.1f} |"
        if "val_loss" in records[0]:
            best = min(records, key=lambda record: record["val_loss"])
            row += f" {best['val_loss']:.4f} | {100 * best['val_accuracy']:.1f} % |"
        else:
            row += " - | - |"
        lines.append(row)
    return lines


def _class_rows(counts: NDArray[np.int64], classes: Sequence[str]) -> list[str]:
    rows = []
    for index, name in enumerate(classes):
        right, actual, predicted = counts[index, index], counts[index].sum(), counts[:, index].sum()
        rows.append(
            f"| {name.replace('|', chr(92) + '|')} | {actual} | {_share(right, actual)} "
            f"| {_share(right, predicted)} |"
        )
    return rows


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "-"


def wilson(right: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % confidence interval of a share, 0-1."""
    z = 1.959964
    share = right / total
    middle = share + z * z / (2 * total)
    half = z * ((share * (1 - share) + z * z / (4 * total)) / total) ** 0.5
    scale = 1 + z * z / total
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
