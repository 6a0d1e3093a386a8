"""Training batches against a handwritten `tf.data` pipeline.

Both decode JPEG files, resize the shorter side to 256 pixels with antialiasing, crop the central
224, mirror half of the images and make batches of 32 from one shuffled order, with one thread a
core. CPU time is reported too, because it is more reliable on a busy machine.
"""

import argparse
import os
import resource
import statistics
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf
from measure import alternate, machine, report
from PIL import Image

from keras_effnets.data import Pictures, batches
from keras_effnets.images.folders import find_images
from keras_effnets.images.preset import Preset

PRESET = Preset(crop=224, resize=256)
BATCH = 32


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Writes crops of real photographs as JPEG files of 500 x 375 pixels."""
    sys.path.append(str(Path(__file__).parents[1] / "tests"))
    from photographs import paths

    photographs = [Image.open(path).convert("RGB") for path in paths()]
    written = []
    for index in range(count):
        image = photographs[index % len(photographs)]
        share = 1 - 0.05 * (index // len(photographs) % 8)
        part = (0, 0, share * image.width, share * image.height)
        written.append(folder / f"{index:04}.jpg")
        image.resize((500, 375), Image.Resampling.BICUBIC, part).save(written[-1], quality=90)
    return written


def ours(pictures: Pictures):
    """One epoch of `keras_effnets.data.batches`."""
    return batches(pictures, PRESET, batch_size=BATCH, training=True, augment=["flip"])


def by_hand(paths: list[str], targets: np.ndarray, classes: int):
    """The same operations, written as in TensorFlow's guides."""

    def decode(path, target, seed):
        pixels = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        sides = tf.cast(tf.shape(pixels)[:2], tf.float32)
        sides = tf.cast(sides * PRESET.resize / tf.reduce_min(sides), tf.int32)
        pixels = tf.image.resize(pixels, sides, antialias=True)
        top, left = tf.unstack((sides - PRESET.crop) // 2)
        pixels = tf.image.crop_to_bounding_box(pixels, top, left, PRESET.crop, PRESET.crop)
        pixels = tf.image.stateless_random_flip_left_right(pixels, seed)
        return pixels, tf.one_hot(target, classes)

    order = np.random.default_rng(0).permutation(len(paths))
    seeds = np.stack([np.zeros_like(order), order], axis=1)
    names = np.array(paths)[order]
    return (
        tf.data.Dataset.from_tensor_slices((names, targets[order], seeds))
        .map(decode, num_parallel_calls=os.cpu_count())
        .batch(BATCH)
        .prefetch(2)
    )


def drained(make, processor: list[float]):
    """A job that iterates over an epoch and records its CPU seconds."""

    def job():
        before = resource.getrusage(resource.RUSAGE_SELF)
        for _ in make():
            pass
        after = resource.getrusage(resource.RUSAGE_SELF)
        processor.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    return job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", nargs="?", help="a folder of JPEG images; default: generated ones"
    )
    parser.add_argument("--pictures", type=int, default=512)
    parser.add_argument("--runs", type=int, default=11)
    options = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        if options.folder:
            found = find_images([options.folder])[: options.pictures]
        else:
            found = write_pictures(Path(folder), options.pictures)
        paths, classes = [str(path) for path in found], 10
        targets = np.arange(len(paths)) % classes
        pictures = Pictures(tuple(paths), targets, tuple(map(str, range(classes))))
        jobs = {
            "ours": lambda: ours(pictures),
            "by hand": lambda: by_hand(paths, targets, classes),
        }
        processor: dict[str, list[float]] = {name: [] for name in jobs}
        seconds = alternate(
            {name: drained(make, processor[name]) for name, make in jobs.items()},
            runs=options.runs,
        )
    report(f"an epoch of {len(paths)} images", seconds, "ours", "by hand")
    report("the same in CPU time", processor, "ours", "by hand")
    for name, values in seconds.items():
        print(f"{name}: {len(paths) / statistics.median(values):.0f} images/s")


if __name__ == "__main__":
    main()
