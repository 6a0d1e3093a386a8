import os
import signal
import subprocess
import sys
import time

import artifacts
import numpy as np
import pyarrow.parquet as pq
import pytest
import running
from PIL import Image

from keras_effnets import Predictor
from keras_effnets.commands import cli
from keras_effnets.images.folders import iterate_images
from keras_effnets.prediction.to_parquet import Job, Parts, errors

COLOURS = {"red": (200, 30, 20), "green": (30, 190, 40), "blue": (20, 40, 210)}


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    artifacts.tiny().save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Thirty images in folders, and two files that are not images."""
    for number in range(30):
        name = list(COLOURS)[number % 3]
        (tmp_path / "in" / name).mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(-20, 20, (16, 20, 3))
        pixels = np.clip(np.asarray(COLOURS[name]) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "in" / name / f"{number:02}.png")
    (tmp_path / "in" / "red" / "broken.png").write_bytes(b"no picture")
    (tmp_path / "in" / "blue" / "empty.jpg").touch()
    return tmp_path / "in"


def parts_of(folder, out, part=8, **more):
    job = Job((str(folder),), "digest", **{"top": 2, "part": part, **more})
    return Parts(out, job, lambda: iterate_images([folder]))


def check(out):
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == 32
    named = [row for row in rows if row["error"] is None]
    assert len(named) == 30
    assert all(row["path"].split("/")[-2] == row["name"] == row["id"] for row in named)
    assert all(row["predictions"][0]["score"] == row["score"] for row in named)
    for row in rows:
        if row["error"] is not None:
            assert row["path"] in row["error"]
            assert (row["name"], row["predictions"]) == (None, [])
    return rows


def test_parts_make_one_table_of_what_predict_says(folder, model_file, tmp_path):
    predictor = Predictor(model_file, "keras", batch_size=4)
    out = tmp_path / "p.parquet"
    parts = parts_of(folder, out)
    assert (parts.images, parts.missing()) == (32, [0, 1, 2, 3])
    done = []
    for number in parts.missing():
        parts.make(number, predictor, lambda: done.append(1))
    assert len(done) == 32
    assert parts.finish() == 2
    assert not parts.folder.exists()
    rows = check(out)
    assert [row["path"] for row in rows] == [str(path) for path in iterate_images([folder])]
    assert len(list(errors(out))) == 2
    red = next(row for row in rows if row["name"] == "red")
    assert [each["name"] for each in red["predictions"]] == [
        each.name for each in predictor(red["path"], top=2)
    ]


def test_an_unfinished_job_resumes(folder, model_file, tmp_path):
    out = tmp_path / "p.parquet"
    predictor = Predictor(model_file, "keras")
    first = parts_of(folder, out)
    first.make(1, predictor, lambda: None)
    stamp = first.path(1).stat().st_mtime_ns
    # An image added after the listing is not part of this job.
    Image.new("RGB", (9, 9)).save(folder / "a.png")
    again = parts_of(folder, out)
    assert again.missing() == [0, 2, 3]
    for number in again.missing():
        again.make(number, predictor, lambda: None)
    assert again.path(1).stat().st_mtime_ns == stamp
    again.finish()
    check(out)


def test_another_job_does_not_resume_it(folder, tmp_path):
    out = tmp_path / "p.parquet"
    parts_of(folder, out)
    with pytest.raises(ValueError, match="holds parts of another job"):
        parts_of(folder, out, top=3)


def test_names_that_are_not_text_are_kept(model_file, tmp_path):
    (tmp_path / "in").mkdir()
    odd = os.fsencode(tmp_path / "in") + b"/\xff.png"
    with open(odd, "wb") as file:
        Image.new("RGB", (16, 16), COLOURS["red"]).save(file, "PNG")
    parts = parts_of(tmp_path / "in", tmp_path / "p.parquet")
    parts.make(0, Predictor(model_file, "keras"), lambda: None)
    parts.finish()
    (row,) = pq.read_table(tmp_path / "p.parquet").to_pylist()
    assert (row["path"], row["name"]) == (str(tmp_path / "in") + "/\\xff.png", "red")


def test_the_command_writes_a_table(folder, model_file, tmp_path):
    out = tmp_path / "p.parquet"
    code, printed, said = running.run(
        cli.app, "predict", folder, "--model", model_file, "--out", out, "--engine", "litert"
    )
    assert (code, printed) == (1, "")
    assert said.splitlines()[-1] == f"wrote {out}: 30 images classified, 2 could not be read"
    assert sum("can't be read as an image" in line for line in said.splitlines()) == 2
    check(out)
    assert not out.with_name("p.parquet.parts").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "p.csv"], "--out 'p.csv': expected a path ending in .parquet"),
        (["--out", "none/p.parquet"], "there is no folder none"),
        (["--out", "p.parquet", "--json"], "--out can't be combined with --sheet or --json"),
        (["--ray", "2"], "--ray 2 needs --out"),
        (["--engine", "fast"], "engine='fast': expected one of"),
    ],
)
def test_invalid_options_are_refused(folder, model_file, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    code, printed, said = running.run(cli.app, "predict", folder, "--model", model_file, *options)
    assert (code, printed) == (2, "")
    assert message in said
    assert said.count("\n") == 1


def test_an_empty_folder_leaves_nothing(model_file, tmp_path):
    (tmp_path / "in").mkdir()
    out = tmp_path / "p.parquet"
    code, _, said = running.run(
        cli.app, "predict", tmp_path / "in", "--model", model_file, "--out", out
    )
    assert code == 2
    assert "the folder contains no images" in said
    assert artifacts.left_in(tmp_path) == ["in"]


def test_a_killed_job_resumes(folder, model_file, tmp_path):
    """One process is killed between two parts; another finishes the job."""
    out = tmp_path / "p.parquet"
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from keras_effnets.images.folders import iterate_images\n"
        "from keras_effnets.prediction import Predictor\n"
        "from keras_effnets.prediction.to_parquet import Job, Parts\n"
        "folder, out, model = sys.argv[1:]\n"
        "parts = Parts(Path(out), Job((folder,), 'digest', 2, 8), "
        "lambda: iterate_images([folder]))\n"
        "predictor = Predictor(model, 'keras')\n"
        "for number in parts.missing():\n"
        "    parts.make(number, predictor, lambda: time.sleep(0.05))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script, folder, out, model_file])
    folder_of_parts = out.with_name("p.parquet.parts")
    while not list(folder_of_parts.glob("part-*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()
    parts = parts_of(folder, out)
    missing = parts.missing()
    assert 0 < len(missing) < 4
    for number in missing:
        parts.make(number, Predictor(model_file, "keras"), lambda: None)
    parts.finish()
    check(out)
