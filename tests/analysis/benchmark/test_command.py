"""`keras-effnets benchmark` on a small network, without mocks."""

import json

import pytest
from running import run

from keras_effnets.commands.cli import app


def test_networks_take_turns_and_the_machine_is_described(tmp_path):
    arguments = ["mobilenet_v2", "--side", "64", "--runs", "3", "--against", "keras"]
    code, out, err = run(app, "benchmark", *arguments, "--out", tmp_path / "c.png", "--json")
    assert (code, err) == (0, f"drew {tmp_path / 'c.png'}\n")
    found = json.loads(out)
    ours, keras = found["results"]
    assert (ours["library"], keras["library"]) == ("ours", "keras")
    assert len(ours["seconds"]) == len(keras["seconds"]) == 3
    assert ours["ratio"] == 1
    assert min(ours["peak_bytes"], keras["peak_bytes"]) > 50e6
    assert found["limits"]["multiply_adds_per_second"] > 1e8
    assert found["limits"]["bytes_per_second"] > 1e8
    assert "multiply-adds" in found["machine"]
    assert (tmp_path / "c.png").stat().st_size > 5000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet51"], "resnet5"),
        (["resnet50", "--batch", "one"], "--batch 'one': expected positive numbers"),
        (["resnet50", "--out", "chart.pdf"], "expected a path ending in .png or .svg"),
        (["resnet50", "--engine", "caffe"], "engine='caffe'"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    code, out, err = run(app, "benchmark", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.strip().splitlines()) == 1
