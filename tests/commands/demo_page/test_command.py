"""`keras-effnets serve-demo`."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from functools import partial
from pathlib import Path

import keras
import pytest
import running

import keras_effnets
from keras_effnets.commands import cli

run = partial(running.run, cli.app)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A model with two named classes."""
    path = tmp_path_factory.mktemp("models") / "cats.keras"
    keras.utils.set_random_seed(1)
    network = keras_effnets.MobileNetV2(
        weights=None, alpha=0.35, classes=2, input_shape=(32, 32, 3)
    )
    keras_effnets.reset_classifier(network, 2, labels=["cat", "dog"]).save(path)
    return path


def test_it_serves_until_it_is_interrupted(file):
    command = Path(sys.executable).with_name("keras-effnets")
    server = subprocess.Popen(
        [command, "serve-demo", file, "--port", "0", "--engine", "keras"],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = server.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/api/models", timeout=60) as response:
            (model,) = json.load(response)["models"]
    finally:
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=60)
    assert url.startswith("http://127.0.0.1:")
    assert model["name"] == "cats"
    assert model["classes"] == 2
    assert server.returncode == 130
    assert "Traceback" not in err


def test_a_port_that_is_taken_is_named(file):
    with socket.create_server(("127.0.0.1", 0)) as other:
        code, out, err = run(
            "serve-demo", file, "--engine", "keras", "--port", other.getsockname()[1]
        )
    assert (code, out) == (1, "")
    assert "in use" in err
    assert err.count("\n") == 1


def test_an_unknown_engine_is_refused(file):
    code, _, err = run("serve-demo", file, "--engine", "steam")
    assert code == 2
    assert "engine='steam': expected one of" in err


def test_two_models_of_one_name_are_refused(file):
    code, _, err = run("serve-demo", file, file)
    assert code == 2
    assert "two of them have the same name" in err


def test_a_model_that_is_not_there_is_named(tmp_path):
    code, _, err = run("serve-demo", tmp_path / "absent.keras")
    assert code == 2
    assert "there is no such file" in err


def test_without_the_packages_it_says_which_extra_brings_them(file, monkeypatch):
    for name in [
        each for each in sys.modules if each.startswith("keras_effnets.commands.demo_page")
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "fastapi", None)
    code, _, err = run("serve-demo", file)
    assert code == 1
    assert "pip install 'keras_effnets[page]'" in err
