import json
import pickle
import struct
import subprocess
import sys
import zipfile
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import fresh_processes
import numpy as np
import photographs
import pretrained
import pytest
import running
from safetensors.numpy import save_file

import keras_effnets
from weights_tools import cli
from weights_tools.commands import convert

LITE0 = "efficientnet_lite0"


run = partial(running.run, cli.app)


def refused(*arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    return err


@pytest.fixture(scope="session")
def lite0():
    """The real checkpoint."""
    return pretrained.checkpoint()


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def hostile(path):
    class Evil:
        def __reduce__(self):
            return print, ("this must not run",)

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"a": Evil()}, 2))
    return path


def truncated(path, source):
    path.write_bytes(source.read_bytes()[:1_000_000])
    return path


def test_inspect_a_checkpoint(lite0):
    code, out, err = run("inspect", lite0)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines[: lines.index("")])
    assert facts["format"] == "torch legacy"
    assert facts["tensors"] == "296"
    # The network's, and its 84 norms' running means and variances.
    assert facts["parameters"].startswith("4,694,024")
    assert facts["dtypes"] == "float32 247, int64 49"
    assert ["_conv_stem.weight", "32 x 3 x 3 x 3", "float32"] in [
        [cell.strip() for cell in line.split("  ") if cell] for line in lines
    ]


def test_inspect_json(lite0):
    found = json.loads(run("inspect", lite0, "--json")[1])
    assert (found["format"], found["ours"], found["tensor_count"]) == ("torch legacy", False, 296)
    assert found["bytes"] == 4_694_024 * 4 + 49 * 8
    assert found["dtypes"] == {"float32": 247, "int64": 49}
    assert found["tensors"][0] == {
        "name": "_conv_stem.weight",
        "shape": [32, 3, 3, 3],
        "dtype": "float32",
    }


def test_inspect_shows_metadata_and_no_control_codes(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"x": np.zeros((2, 0), np.float16)}, path, {"author": "me\x07"})
    code, out, _ = run("inspect", path)
    assert code == 0
    assert r"me\x07" in out
    save_file({"x\x1b[31m": np.zeros((2, 0), np.float16)}, path)
    message = refused("inspect", path)
    assert "\x1b" not in message
    assert r"x\x1b[31m" in message


def test_inspect_does_not_import_keras(lite0):
    script = (
        "import sys, weights_tools.cli as c\n"
        "try: c.main()\n"
        "finally: print(sorted({'keras', 'tensorflow', 'keras_effnets', 'torch'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, "inspect", lite0],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("\n[]\n")
    assert done.stderr == ""


def test_convert_writes_a_file_that_predicts_the_same(lite0, here):
    code, out, err = run("convert", lite0, "--model", LITE0)
    assert (code, err) == (0, "")
    for text in (
        "wrote        efficientnet_lite0.safetensors\n",
        "(matching names: efficientnet_pytorch 247 of 247",
        "profile      tensorflow\n",
        "weights set  EFFICIENTNET_PYTORCH\n",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "left out     49 num_batches_tracked\n",
    ):
        assert text in out
    assert [path.name for path in here.iterdir()] == ["efficientnet_lite0.safetensors"]

    line = out.splitlines()[-1].removeprefix("load with").strip()
    converted = eval(line, {"keras_effnets": keras_effnets})
    published = keras_effnets.EfficientNetLite0(weights="imagenet")
    preset = converted.get_layer("preprocessing").preset
    assert preset == published.get_layer("preprocessing").preset
    pixels = np.stack([keras_effnets.load_image(path, preset) for path in photographs.paths()])
    np.testing.assert_array_equal(
        converted.predict_on_batch(pixels), published.predict_on_batch(pixels)
    )


def test_inspect_our_own_file(lite0, here):
    run("convert", lite0, "--model", LITE0)
    path = here / "efficientnet_lite0.safetensors"
    code, out, _ = run("inspect", path)
    assert code == 0
    assert "safetensors, written by keras_effnets" in out
    assert "license        Apache-2.0" in out
    found = json.loads(run("inspect", path, "--json")[1])
    assert found["ours"]
    assert found["metadata"]["model"] == LITE0
    assert found["metadata"]["preset"]["crop"] == 224


@pytest.mark.parametrize("name", ["a.keras", "a.weights.h5"])
def test_convert_to_files_of_keras(lite0, here, name):
    code, out, _ = run("convert", lite0, "-m", LITE0, "--out", name)
    assert code == 0
    assert (here / name).stat().st_size > 18_000_000
    line = out.splitlines()[-1].removeprefix("load with").strip()
    scope = {"keras_effnets": keras_effnets}
    if name.endswith(".keras"):
        exec(line, scope)
    else:
        scope["model"] = eval(line, scope)
    assert scope["model"].count_params() == 4_694_024


def test_bad_files_are_refused_and_nothing_is_written(lite0, here, tmp_path, capfd):
    empty = tmp_path / "empty.pth"
    empty.touch()
    picture = tmp_path / "picture.pth"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(600))
    for path, reason in (
        (hostile(tmp_path / "hostile.pth"), "print"),
        (truncated(tmp_path / "cut.pth", lite0), "truncated"),
        (empty, "is empty"),
        (picture, "a PNG image"),
        (tmp_path / "missing.pth", "no such file"),
        (tmp_path, "is a directory"),
    ):
        for arguments in (("inspect", path), ("convert", path, "--model", LITE0)):
            message = refused(*arguments)
            assert str(path) in message
            assert reason in message
    assert list(here.iterdir()) == []
    assert "this must not run" not in capfd.readouterr().out


def test_a_checkpoint_of_another_model_lists_what_does_not_fit(lite0, here):
    message = refused("convert", lite0, "--model", "efficientnet_lite4")
    first, *problems = message.splitlines()
    assert first.endswith("does not fit the model:")
    assert {problem.split()[0] for problem in problems} == {"missing:", "mis-shaped:"}
    message = refused("convert", lite0, "--model", "mobilenet_v2")
    assert "is not a checkpoint of mobilenet_v2" in message
    assert list(here.iterdir()) == []


def test_other_mistakes(lite0, here):
    message = refused("convert", lite0, "--model", "resnet51")
    assert "'resnet51'" in message
    assert "did you mean resnet50, " in message
    assert "'a.onnx'" in refused("convert", lite0, "--model", LITE0, "--out", "a.onnx")
    assert "there is no folder" in refused("convert", lite0, "-m", LITE0, "-o", "b/a.keras")
    assert list(here.iterdir()) == []


def test_unknown_options_are_the_users_mistake():
    code, out, err = run("inspect", "--nonsense")
    assert (code, out) == (2, "")
    assert "--nonsense" in err


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (PermissionError(13, "Permission denied", "a.pth"), 1, "error: [Errno 13] Permission"),
        (MemoryError("too large"), 1, "error: MemoryError: too large"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes(monkeypatch, error, code, message):
    def fail(path):
        raise error

    monkeypatch.setattr("weights_tools.commands.inspect.read_checkpoint", fail)
    found, out, err = run("inspect", "a.pth")
    assert (found, out) == (code, "")
    assert err.startswith(message)


def test_what_is_left_out_is_counted_by_ending():
    names = ["a.num_batches_tracked", "b.num_batches_tracked", "fc.bias"]
    assert convert._summarised(names) == "2 num_batches_tracked, 1 fc.bias"
    assert convert._summarised([]) == "nothing"


def test_installed_command(lite0, here, tmp_path):
    command = Path(sys.executable).with_name("weights-tools")

    def process(*arguments):
        done = subprocess.run(
            [command, *map(str, arguments)], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    code, out, err = process("convert", lite0, "--model", LITE0)
    assert (code, err) == (0, "")
    assert "load with    keras_effnets.EfficientNetLite0(weights='" in out
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(struct.pack("<Q", 10**6) + b"{" + bytes(50))
    (entry,) = entry_points(group="console_scripts", name="weights-tools")
    script = f"import sys; from {entry.module} import {entry.attr}; {entry.attr}()"
    done = fresh_processes.run(script, "convert", bad, "--model", LITE0)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {bad}: is truncated: it ends within the header\n"
