"""Class folders that a small network learns in an epoch or two: colours and stripes."""

import numpy as np
from PIL import Image

CLASSES = ("blue", "red", "striped")


def write_pictures(folder, *, train=8, test=4, side=48, seed=0):
    generator = np.random.default_rng(seed)
    for part, count in (("train", train), ("test", test)):
        for name in CLASSES:
            (folder / part / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 60, (side, side, 3))
                if name == "striped":
                    pixels[:, (np.arange(side) // 4) % 2 == 0] += 180
                else:
                    pixels[..., 2 if name == "blue" else 0] += 180
                path = folder / part / name / f"{index}.png"
                Image.fromarray(pixels.astype(np.uint8)).save(path)
    return folder
