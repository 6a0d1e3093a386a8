"""The wheel, installed by itself, predicts with what it declares to need and nothing else."""

import configparser
import os
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

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
        env={**os.environ, "PYTHONPATH": "", **env},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{command}\n{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        folder,
        ROOT,
        cwd=folder,
    )
    (wheel,) = folder.glob("keras_effnets-*.whl")
    return wheel


HIDE = """
import importlib.abc, sys

class Undeclared(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {hidden!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)

sys.meta_path.insert(0, Undeclared())
"""


def requirements(wheel):
    (found,) = metadata.distributions(path=[str(wheel)], name="keras_effnets")
    return [Requirement(line) for line in found.requires]


def declared(wheel):
    """Names of the distributions that the wheel brings with its extra `pretrained`."""
    found, waiting = set(), [(each, "pretrained") for each in requirements(wheel)]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        for wanted in ("", *requirement.extras):
            each = canonicalize_name(requirement.name), wanted
            if each not in found:
                found.add(each)
                theirs = metadata.requires(requirement.name) or ()
                waiting += [(Requirement(line), wanted) for line in theirs]
    return {name for name, _ in found}


def undeclared_modules(wheel):
    """What can be imported here, and could not where the wheel is installed alone."""
    allowed = declared(wheel) | {"keras-effnets"}
    return {
        module
        for module, owners in metadata.packages_distributions().items()
        if not allowed & {canonicalize_name(owner) for owner in owners}
        and module not in sys.stdlib_module_names
    }


def use(python, wheel, work, tmp_path):
    """Predicts, and asks the commands for help."""
    home = {"KERAS_EFFNETS_HOME": str(tmp_path / "home")}
    script = PREDICT.format(venv=str(python.parents[1]))
    lines = run(python, "-c", script, cwd=work, **home).splitlines()
    version, wordnet_id, *name = lines[-1].split(" ")
    assert version == wheel.name.split("-")[1]
    assert wordnet_id[0] == "n"
    assert len(wordnet_id) == 9
    assert name
    for command in ("keras-effnets", "weights-tools"):
        assert "Usage" in run(python.with_name(command), "--help", cwd=work, **home)


@pytest.fixture
def work(tmp_path):
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_the_wheel_declares_what_setup_cfg_does(wheel):
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    lists = {"": config["options"]["install_requires"], **config["options.extras_require"]}
    wanted = {
        (extra, str(Requirement(line)))
        for extra, lines in lists.items()
        for line in lines.split("\n")
        if line
    }
    told = set()
    for requirement in requirements(wheel):
        extra = str(requirement.marker or "").removeprefix('extra == "').rstrip('"')
        requirement.marker = None
        told.add((extra, str(requirement)))
    assert told == wanted


def test_the_wheel_predicts_with_what_it_declares(wheel, work, tmp_path):
    """As in an environment of its own, which `make parity` makes, but for the downloads."""
    hidden = undeclared_modules(wheel)
    assert {"torch", "jax", "sklearn", "pytest"} <= hidden
    assert not {"keras", "tensorflow", "h5py", "google"} & hidden
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=work)
    python = venv / "bin" / "python"
    install = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", wheel)
    run(sys.executable, "-m", "pip", "--python", python, *install, cwd=work)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "of_the_tests.pth").write_text(sysconfig.get_path("purelib"))
    (site / "sitecustomize.py").write_text(HIDE.format(hidden=hidden))
    use(python, wheel, work, tmp_path)


@pytest.mark.full
def test_wheel_installed_into_an_empty_environment_predicts(wheel, work, tmp_path):
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=work)
    constraints = ROOT / "constraints.txt"
    options = ["--constraint", constraints] if constraints.is_file() else []
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    run(venv / "bin" / "python", *install, *options, f"{wheel}[pretrained]", cwd=work)
    use(venv / "bin" / "python", wheel, work, tmp_path)
