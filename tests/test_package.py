"""The wheel, installed into an empty environment, predicts; this takes minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PREDICT = """
import warnings
warnings.simplefilter("error")
from importlib import resources
from pathlib import Path
import numpy as np
import keras_effnets

package = resources.files("keras_effnets")
assert Path(str(package)).is_relative_to({venv!r}), package
assert (package / "py.typed").is_file()
assert (resources.files("weights_tools") / "py.typed").is_file()
assert len((package / "images" / "imagenet_classes.txt").read_text("utf-8").splitlines()) == 1000
warnings.simplefilter("default")
model = keras_effnets.EfficientNetLite0()
picture = np.zeros((1, 224, 224, 3), "float32")
picture[:, 60:160, 60:160, 0] = 200
scores = model.predict(picture, verbose=0)
assert scores.shape == (1, 1000)
assert abs(scores.sum() - 1) < 1e-4
(best,) = keras_effnets.decode_predictions(scores, top=1)
print(keras_effnets.__version__, best[0].id, best[0].name)
"""


def run(*command, cwd, **env):
    result = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, ROOT, cwd=folder)
    (wheel,) = folder.glob("keras_effnets-*.whl")
    return wheel


def test_wheel_installed_into_an_empty_environment_predicts(wheel, tmp_path):
    venv, work = tmp_path / "venv", tmp_path / "work"
    work.mkdir()
    run(sys.executable, "-m", "venv", venv, cwd=work)
    constraints = ROOT / "constraints.txt"
    options = ["--constraint", constraints] if constraints.is_file() else []
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(venv / "bin" / "python", *install, *options, f"{wheel}[pretrained]", cwd=work)
    home = {"KERAS_EFFNETS_HOME": str(tmp_path / "home"), "PYTHONPATH": ""}
    script = PREDICT.format(venv=str(venv))
    lines = run(venv / "bin" / "python", "-c", script, cwd=work, **home).splitlines()
    version, wordnet_id, *name = lines[-1].split(" ")
    assert version == wheel.name.split("-")[1]
    assert wordnet_id[0] == "n"
    assert len(wordnet_id) == 9
    assert name
    for command in ("keras-effnets", "weights-tools"):
        assert "Usage" in run(venv / "bin" / command, "--help", cwd=work, **home)
