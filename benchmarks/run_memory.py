"""Memory of a fine-tuning run of the size of Stanford Dogs: 20,580 images of 120 classes.

The images are small, different and generated here. Nothing is cached: every epoch decodes and
augments all of them and runs the whole network. It prints the process's memory after each epoch
and the growth of its peak after the first epoch of each stage, because the second stage adds its
own graph and optimizer state.
"""

import argparse
import os
import resource
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
from measure import machine
from PIL import Image

from keras_effnets import finetune
from keras_effnets.training import Reporter

CLASSES, SIDE = 120, 64


def write(folder: Path, pictures: int) -> None:
    generator = np.random.default_rng(0)
    for index in range(pictures):
        path = folder / f"{index % CLASSES:03d}" / f"{index}.jpg"
        path.parent.mkdir(exist_ok=True)
        coarse = Image.fromarray(generator.integers(0, 256, (6, 6, 3), np.uint8))
        coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)


def resident() -> int:
    """The process's resident memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return pages * resource.getpagesize()


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Gauge(Reporter):
    """Notes the memory when an epoch is reported."""

    def __init__(self) -> None:
        self.peaks: dict[str, list[int]] = {"head": [], "tune": []}

    def say(self, message: str) -> None:
        """Prints the message, with the memory if it reports an epoch."""
        stage = message.split()[0]
        if stage in self.peaks:
            self.peaks[stage].append(peak())
            message += f" | {resident() / 2**20:.0f} MiB, peak {peak() / 2**20:.0f}"
        print(message, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=20_580)
    parser.add_argument("--epochs", type=int, default=4, help="of each stage")
    options = parser.parse_args()
    print(machine())
    gauge = Gauge()
    with tempfile.TemporaryDirectory() as folder:
        pictures, out = Path(folder, "pictures"), Path(folder, "run")
        pictures.mkdir()
        write(pictures, options.pictures)
        finetune(
            pictures, model="efficientnet_lite0", side=SIDE, out=out, reporter=gauge,
            head_epochs=options.epochs, tune_epochs=options.epochs, head_augment=("flip",),
            patience=options.epochs,
        )  # fmt: skip
    for stage, peaks in gauge.peaks.items():
        growth = (peaks[-1] - peaks[0]) / 2**20
        print(f"{stage}: the peak grew by {growth:.1f} MiB after the first of {len(peaks)} epochs")


if __name__ == "__main__":
    main()
