"""Five-fold accuracy of fine-tuning on all images of a folder: head only, and with stage two.

Usage: python benchmarks/five_folds.py FOLDER

FOLDER holds train and test folders of class folders. In each fold the learning rates of the head
and then of stage two are chosen by the validation loss on images held out from the fold's training
images. The fold's test images are used once for each stage. The interval is Student's.
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from measure import machine

from keras_effnets import data, finetune
from keras_effnets.data import Pictures, Splits

FOLDS = 5
STUDENT = 2.776  # two-sided 95 %, four degrees of freedom
HEADS = [{"head_rate": rate} for rate in (1e-3, 3e-3, 1e-2)]
TUNES = [{"tune_rate": rate} for rate in (1e-5, 3e-5, 1e-4)]
HELD_OUT = 0.2  # share of the training images for validation; a tenth would be only 24


def together(splits: Splits) -> Pictures:
    parts = [part for _, part in splits.parts()]
    return Pictures(
        tuple(path for part in parts for path in part.paths),
        np.concatenate([part.targets for part in parts]),
        splits.classes,
    )


def best(splits: Splits, choices: list[dict], fixed: dict, out: Path):
    """The outcome with the lowest validation loss, and its settings."""
    outcomes = [
        (
            finetune(
                splits,
                model="efficientnet_lite0",
                out=out / str(number),
                validation=HELD_OUT,
                **fixed,
                **choice,
            ),
            choice,
        )
        for number, choice in enumerate(choices)
    ]
    return min(outcomes, key=lambda pair: min(record["val_loss"] for record in pair[0].history))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    print(machine())
    accuracies: dict[str, list[float]] = {"head only": [], "with stage two": []}
    everything = together(data.open_data(folder))
    for number, (train, test) in enumerate(data.folds(everything, FOLDS, seed=0)):
        splits = Splits(train=train, test=test)
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            head, chosen = best(splits, HEADS, {"tune_epochs": 0}, out / "head")
            tuned, tuning = best(splits, TUNES, chosen, out / "tune")
        accuracies["head only"].append(head.accuracy)
        accuracies["with stage two"].append(tuned.accuracy)
        print(
            f"fold {number}: head only {head.accuracy:.1%} ({chosen}), "
            f"with stage two {tuned.accuracy:.1%} ({tuning})",
            flush=True,
        )
    for name, values in accuracies.items():
        mean, error = np.mean(values), np.std(values, ddof=1) / FOLDS**0.5
        print(f"{name}: {mean:.1%}, 95 % interval ± {STUDENT * error:.1%}")


if __name__ == "__main__":
    main()
