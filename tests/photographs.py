"""Real photographs that scikit-image and scikit-learn carry in their packages."""

from importlib import resources
from pathlib import Path

import pytest


def paths() -> list[Path]:
    """Files of a cat, a coffee cup, a rocket, an astronaut, a temple and a flower."""
    skimage = pytest.importorskip("skimage", reason="the photographs are in the test extra")
    sklearn = pytest.importorskip("sklearn", reason="the photographs are in the test extra")
    ours = [
        (skimage, "data/chelsea.png"),
        (skimage, "data/coffee.png"),
        (skimage, "data/rocket.jpg"),
        (skimage, "data/astronaut.png"),
        (sklearn, "datasets/images/china.jpg"),
        (sklearn, "datasets/images/flower.jpg"),
    ]
    found = [Path(str(resources.files(package) / name)) for package, name in ours]
    return [path for path in found if path.is_file()]
