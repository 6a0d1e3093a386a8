"""A data set of three textures: squares cut from scikit-image's photographs.

Training squares come from the left three quarters of each photograph and test squares from the
rest, on one grid without overlap.
"""

import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from PIL import Image

CLASSES = ("brick", "grass", "gravel")
PHOTOGRAPH = 512
"""Width and height of each photograph, pixels."""
SQUARE = 64
TRAIN_COLUMNS = 6


def squares() -> Iterator[tuple[str, tuple[int, int, int, int]]]:
    """Yields each square's part, "train" or "test", and its box: left, upper, right, lower."""
    for column in range(PHOTOGRAPH // SQUARE):
        part = "train" if column < TRAIN_COLUMNS else "test"
        for row in range(PHOTOGRAPH // SQUARE):
            left, upper = column * SQUARE, row * SQUARE
            yield part, (left, upper, left + SQUARE, upper + SQUARE)


def write_textures(folder: Path) -> None:
    """Writes `folder/train/brick/0-0.png` and so on; replaces the folder."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in CLASSES:
        with Image.open(str(resources.files("skimage") / f"data/{name}.png")) as photograph:
            for part, box in squares():
                path = folder / part / name / f"{box[0]}-{box[1]}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                photograph.crop(box).save(path)
