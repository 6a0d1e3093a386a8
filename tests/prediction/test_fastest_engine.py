import json
import logging

import artifacts
import pytest

from keras_effnets.prediction import fastest_engine as module
from keras_effnets.prediction.engines import open_model
from keras_effnets.prediction.fastest_engine import fastest_engine


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def model():
    return artifacts.tiny()


def opener(model, opened, broken=()):
    """Opens the live model for any engine, and records the engine's name."""

    def open_as(name):
        if name in broken:
            raise RuntimeError("it does not run here")
        opened.append(name)
        return open_model(model, "keras")

    return open_as


def test_the_fastest_is_measured_once(model, home):
    opened = []
    first = fastest_engine(model, "float32", 1, opener(model, opened))
    assert set(opened) == {"tensorflow", "litert", "onnxruntime", "openvino"}
    (kept,) = (home / "engines").iterdir()
    milliseconds = json.loads(kept.read_text("utf-8"))
    assert set(milliseconds) == set(opened)
    assert first == min(milliseconds, key=milliseconds.get)
    kept.write_text(json.dumps({**milliseconds, "onnxruntime": 0.0}), "utf-8")
    assert fastest_engine(model, "float32", 1, opener(model, [])) == "onnxruntime"
    assert len(opened) == 4


def test_another_number_of_threads_or_another_version_is_measured_anew(model, home, monkeypatch):
    fastest_engine(model, "float32", 1, opener(model, []))
    again = []
    fastest_engine(model, "float32", 2, opener(model, again))
    assert len(again) == 4
    monkeypatch.setattr(module, "version", lambda engine: "0")
    fastest_engine(model, "float32", 1, opener(model, again))
    assert len(again) == 8


def test_a_damaged_record_is_made_again(model, home):
    fastest_engine(model, "float32", 1, opener(model, []))
    (kept,) = (home / "engines").iterdir()
    kept.write_text("{", "utf-8")
    again = []
    fastest_engine(model, "float32", 1, opener(model, again))
    assert len(again) == 4


def test_engines_that_fail_are_left_out(model, home, caplog):
    broken = ("tensorflow", "litert", "openvino")
    with caplog.at_level(logging.WARNING, "keras_effnets"):
        assert fastest_engine(model, "float32", 1, opener(model, [], broken)) == "onnxruntime"
    assert "engine litert does not run tiny: it does not run here" in caplog.text
    everything = (*broken, "onnxruntime")
    with pytest.raises(ValueError, match="engine='auto': none of"):
        fastest_engine(model, "float32", 2, opener(model, [], everything))


def test_only_engines_that_are_installed_and_compute_in_the_precision(model, home, monkeypatch):
    monkeypatch.setattr(module, "installed", lambda name: name == "litert")
    assert fastest_engine(model, "int8", 1, opener(model, [])) == "litert"
    with pytest.raises(ValueError, match=r"none of the engines \['openvino'\] is installed"):
        fastest_engine(model, "bfloat16", 1, opener(model, []))
