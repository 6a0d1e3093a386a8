"""The examples run as a user runs them and write what they promise."""

import csv
import itertools
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pretrained
import pytest
from made_pictures import write_pictures
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(example, *arguments, folder):
    """Runs an example in a folder and returns its standard output."""
    result = subprocess.run(
        [sys.executable, EXAMPLES / f"{example}.py", *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def result_of_the_run(folder):
    """Checks a run's files and returns the result in its report."""
    for name in ("best.keras", "curves.png", "confusion.png", "labels.txt", "metrics.csv"):
        assert (folder / name).stat().st_size
    (line,) = re.findall(r"^test accuracy: .* % \(.*\)$", (folder / "report.md").read_text(), re.M)
    return line


@pytest.fixture
def textures(monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLES)
    import textures

    return textures


def overlap(one, other):
    """Whether two boxes (left, upper, right, lower) share a pixel."""
    return max(one[0], other[0]) < min(one[2], other[2]) and (
        max(one[1], other[1]) < min(one[3], other[3])
    )


def test_no_square_overlaps_another(textures):
    squares = list(textures.squares())
    assert {part for part, _ in squares} == {"train", "test"}
    pairs = itertools.combinations([box for _, box in squares], 2)
    assert not [pair for pair in pairs if overlap(*pair)]
    assert overlap((0, 0, 64, 64), (63, 63, 127, 127))


def test_the_textures_are_cut_where_they_say(textures, tmp_path):
    (tmp_path / "textures" / "train" / "leftover").mkdir(parents=True)
    textures.write_textures(tmp_path / "textures")
    for part in ("train", "test"):
        found = {path.name for path in (tmp_path / "textures" / part).iterdir()}
        assert found == {"brick", "grass", "gravel"}
    boxes = {part: [] for part in ("train", "test")}
    for path in (tmp_path / "textures").rglob("*.png"):
        left, upper = map(int, path.stem.split("-"))
        pixels = np.asarray(Image.open(path))
        photograph = resources.files("skimage") / f"data/{path.parent.name}.png"
        whole = np.asarray(Image.open(str(photograph)))
        height, width = pixels.shape
        assert (pixels == whole[upper : upper + height, left : left + width]).all()
        boxes[path.parent.parent.name].append((left, upper, left + width, upper + height))
    assert (len(boxes["train"]), len(boxes["test"])) == (144, 48)
    assert not any(overlap(a, b) for a in boxes["train"] for b in boxes["test"])


@pytest.mark.full
def test_food(tmp_path):
    write_pictures(tmp_path / "food")
    printed = run("finetune_food", "food", "--quick", folder=tmp_path).splitlines()
    assert printed[0] == result_of_the_run(tmp_path / "food_run")
    assert printed[-1] == "food_run/report.md"
    # The mistakes are listed between the two.
    with (tmp_path / "food_run" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    wrong = [
        f"{row['path']}: predicted {row['predicted']}, true {row['class']}"
        for row in rows
        if row["class"] != row["predicted"]
    ]
    assert len(rows) == 12
    assert printed[1:-1] == wrong


@pytest.mark.full
def test_dogs(tmp_path):
    printed = run("finetune_stanford_dogs", "--smoke", folder=tmp_path).splitlines()
    assert printed == [result_of_the_run(tmp_path / "dogs_smoke_run"), "dogs_smoke_run/report.md"]
    assert len((tmp_path / "dogs_smoke_run" / "labels.txt").read_text().splitlines()) == 120
    # Again, it has nothing left to do, and says the same.
    assert run("finetune_stanford_dogs", "--smoke", folder=tmp_path).splitlines() == printed


@pytest.mark.parametrize("own", [False, pytest.param(True, marks=pytest.mark.full)])
def test_the_lineage(tmp_path, own):
    folder = [write_pictures(tmp_path / "own")] if own else []
    printed = run("train_cifar_lineage", *folder, "--quick", folder=tmp_path)
    lines = printed.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "Network in Network",
        "Wide ResNet-10-2",
    ]
    tested = 12 if own else 450
    assert all(f" of {tested}, " in line for line in lines)
    with Image.open(tmp_path / "lineage.png") as plot:
        assert plot.size == (960, 600)
        assert len(plot.getcolors(1 << 20)) > 10


@pytest.mark.full
def test_the_demo(tmp_path):
    pretrained.checkpoint()
    for _ in range(2):
        printed = run("demo", "demo", folder=tmp_path)
        line = result_of_the_run(tmp_path / "demo" / "textures_run")
        assert line in printed.splitlines()
        correct = int(re.search(r"\((\d+) of 48\)", line)[1])
        assert correct >= 44
        assert "report.md" in printed.splitlines()[-1]
        for name in ("contact_sheet.png", "textures_sheet.png"):
            assert (tmp_path / "demo" / name).stat().st_size
