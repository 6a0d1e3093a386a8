import json
from functools import partial

import pytest
import running

from keras_effnets.analysis.compare.runtime_cost import RuntimeCost, measure
from keras_effnets.commands import cli, compare
from keras_effnets.models.registry import list_models

run = partial(running.run, cli.app)


def refused(*arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    return err


def test_compare_draws_and_says_what_it_left_out(tmp_path):
    code, out, err = run("compare", "vgg16", "CIFAR ResNet", "--out", tmp_path / "chart.svg")
    assert (code, out) == (0, "")
    assert "macs, top1 or params is unknown: resnet20_cifar, resnet32_cifar" in err
    assert f"drew 1 models: {tmp_path / 'chart.svg'}" in err
    assert "vgg16" in (tmp_path / "chart.svg").read_text("utf-8")


def test_compare_without_a_file_prints_a_table():
    code, out, err = run("compare", "resnet50", "se_resnet152")
    assert (code, err) == (0, "")
    head, *rows = out.splitlines()
    assert " ".join(head.split()) == (
        "Model Year Top-1 M params M mult-adds MB memory Accuracy from"
    )
    assert rows[0].split()[:4] == ["resnet50", "2015", "80.9", "25.6"]
    assert rows[1].split()[:4] == ["se_resnet152", "2017", "-", "66.8"]


def test_compare_json():
    code, out, _ = run("compare", "--json")
    assert code == 0
    rows = json.loads(out)
    assert [row["name"] for row in rows] == list_models()
    assert rows[0]["source"] == "the paper's table 2, one network, ten crops"


def test_compare_measures_each_model(monkeypatch, tmp_path):
    asked = []

    def measured(name):
        asked.append(name)
        return RuntimeCost(0.01 * len(asked), 10**9)

    monkeypatch.setattr(compare, "measure", measured)
    chart = tmp_path / "chart.html"
    arguments = ("vgg16", "resnet18", "--measure", "--x", "latency", "--size", "peak")
    code, out, _ = run("compare", *arguments, "--out", chart, "--json")
    assert code == 0
    assert asked == ["vgg16", "resnet18"]
    assert [row["latency"] for row in json.loads(out)] == [0.01, 0.02]
    assert "median latency of one image here, ms: 20" in chart.read_text("utf-8")
    code, out, _ = run("compare", "vgg16", "--measure")
    assert out.splitlines()[1].split()[-4:] == ["30.0", "1,000.0", "torchvision", "0.28"]


@pytest.mark.full
def test_a_measurement_is_of_a_process_of_its_own():
    small = measure("squeezenet1_1")
    assert small.latency > 0
    assert small.peak > 50e6


@pytest.mark.full
def test_a_measurement_that_fails_names_the_model():
    with pytest.raises(RuntimeError, match=r"resnet51 could not be measured: .*'resnet51'"):
        measure("resnet51")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet51"], "did you mean resnet50"),
        (["--x", "flops"], "--x 'flops' is not one of macs"),
        (["--x", "latency"], "--x latency needs --measure"),
        (["--out", "chart.gif"], "expected a path ending in .png, .svg, .html"),
        (["--out", "nowhere/chart.png"], "there is no folder nowhere"),
        (["--recipe", "best"], "recipe='best' is not one of"),
        (["resnet20_cifar", "--out", "chart.png"], "none of the 1 models has macs, top1"),
    ],
)
def test_compare_mistakes(monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in refused("compare", *arguments)
    assert not list(tmp_path.iterdir())


def test_figures_are_listed_drawn_and_told(tmp_path):
    assert "densenet-growth" in run("figure")[1]
    code, out, err = run("figure", "stochastic-depth", "--out", tmp_path / "depth.png")
    assert (code, out, err) == (0, "", f"drew {tmp_path / 'depth.png'}\n")
    assert json.loads(run("figure", "stochastic-depth")[1])["blocks"] == 54
    assert "is not one of the figures" in refused("figure", "growth")
    assert "there is no folder" in refused("figure", "stacked-3x3", "--out", tmp_path / "a/b.png")


def test_info_tells_the_whole_card(tmp_path):
    code, out, err = run("info", "mobilenet_v1_0.5")
    assert (code, err) == (0, "")
    for text in (
        "25.5 MB for the parameters",
        "top-1 63.7 % (the paper's table 6)",
        "The last depthwise convolution has stride 1",
        "Width multiplier, above 0 and at most 1",
        "none published",
    ):
        assert text in out
    card = json.loads(run("info", "mobilenet_v2", "--json")[1])
    assert card["memory"] == 67_448_384
    assert "alpha" in card["knobs"]
    assert card["accuracy_source"] == "torchvision 0.28"
    assert "did you mean mobilenet_v2" in refused("info", "mobilnet_v2")


def test_info_draws_the_diagram(tmp_path):
    code, _, err = run("info", "alexnet", "--diagram", tmp_path / "alexnet.svg")
    assert (code, err) == (0, f"drew {tmp_path / 'alexnet.svg'}\n")
    assert "conv4 ×2" in (tmp_path / "alexnet.svg").read_text("utf-8")
    assert "expected a path ending in .svg" in refused("info", "alexnet", "--diagram", "a.png")
