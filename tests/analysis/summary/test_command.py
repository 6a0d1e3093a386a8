"""`keras-effnets summary`."""

import json
from pathlib import Path

import keras
import pytest
from running import run

import keras_effnets
from keras_effnets.commands.cli import app


@pytest.fixture
def no_values(monkeypatch):
    """Fails if a variable gets a value."""

    def allocated(self, *args, **kwargs):
        raise AssertionError("a variable got a value")

    monkeypatch.setattr("keras.src.backend.Variable._initialize", allocated)


@pytest.mark.usefixtures("no_values")
def test_a_name_alone_allocates_nothing():
    arguments = ("--classes", 3, "--batch", 32, "--freeze", "all", "--depth", 2, "--json")
    code, out, err = run(app, "summary", "efficientnet_b0", *arguments)
    assert (code, err) == (0, "")
    values = json.loads(out)
    assert (values["parameters"], values["trainable"]) == (4011391, 3843)
    assert values["statistics"] == 42016
    assert round(values["multiply_adds"] / 1e9, 2) == 12.31
    assert round(values["total_bytes"] / 1e6, 2) == 3487.41
    assert [row["name"] for row in values["layers"][1]["layers"]] == ["conv", "norm"]


@pytest.mark.usefixtures("no_values")
def test_a_published_set_settles_side_and_profile_and_a_side_overrules():
    code, out, _ = run(app, "summary", "efficientnet_b1", "-w", "IMAGENET1K_V1")
    assert code == 0
    assert "240x240x3" in out
    code, out, _ = run(app, "summary", "efficientnet_b1", "--side", 100, "--definition", "paper")
    assert code == 0
    assert "100x100x3" in out
    assert "as papers count" in out


def test_markdown():
    code, out, _ = run(app, "summary", "squeezenet1_1", "--markdown")
    assert code == 0
    assert out.startswith("| Layer | Kind | Input |")


def test_a_file_and_a_run_that_holds_one(tmp_path: Path):
    model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2, name="only")])
    model.save(tmp_path / "best.keras")
    for path in (tmp_path / "best.keras", tmp_path):
        code, out, _ = run(app, "summary", path)
        assert code == 0
        assert "only" in out
        assert out.splitlines()[3].split() == ["Parameters", "18"]


def test_a_checkpoint_is_loaded(tmp_path: Path):
    model = keras_effnets.MobileNetV2(weights=None, alpha=0.35, classes=3)
    path = tmp_path / "small.keras"
    model.save(path)
    code, out, _ = run(app, "summary", path, "--freeze", "stage4", "--json")
    assert code == 0
    values = json.loads(out)
    assert 0 < values["trainable"] < values["parameters"] == keras_effnets.summary(model).parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("efficientnet_b9",), "efficientnet_b9"),
        (("missing.keras",), "there is no such file"),
        (("vgg11", "--json", "--markdown"), "--json and --markdown"),
        (("vgg11", "--definition", "flops"), "definition='flops'"),
        (("vgg11", "--freeze", "stage99"), "stage99"),
        (("vgg11", "--side", "8"), "8"),
        (("x.keras", "--classes", "3"), "omit --weights and --classes"),
        (("vgg11", "--weights", "missing.pth"), "missing.pth"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(app, "summary", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.startswith("error: ")
