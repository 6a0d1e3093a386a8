"""`keras-effnets look`."""

from functools import partial

import numpy as np
import photographs
import pretrained
import pytest
import running
from PIL import Image

import keras_effnets
from keras_effnets.commands import cli

run = partial(running.run, cli.app)
LITE0 = ("--model", "efficientnet_lite0")


@pytest.fixture(scope="module")
def network():
    pretrained.checkpoint()
    return keras_effnets.EfficientNetLite0()


@pytest.fixture
def cat(network, monkeypatch):
    """The picture of a cat, for a command that need not load its network again."""
    monkeypatch.setattr("keras_effnets.commands.look.open_model", lambda *_: network)
    return photographs.paths()[0]


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture, int)


def test_the_heat_of_the_first_classes(cat, network, tmp_path):
    code, out, err = run("look", cat, *LITE0, "--out", tmp_path / "cat.png", "--top", 2)
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()] == ["Class", "tiger", "Egyptian"]
    drawn = pixels_of(tmp_path / "cat.png")
    assert drawn.shape == (272, 3 * 224 + 4 * 12, 3)
    seen, heated = drawn[12 : 12 + 224, 12 : 12 + 224], drawn[12 : 12 + 224, 248 : 248 + 224]
    preset = network.get_layer("preprocessing").preset
    np.testing.assert_array_equal(seen, keras_effnets.load_image(cat, preset))
    # The lightest of what is drawn over the picture is on the face.
    row, column = np.unravel_index(np.argmax((heated - seen).sum(2)), (224, 224))
    assert 50 < row < 216
    assert 24 < column < 216


def test_the_heat_of_classes_by_name_and_number(cat, tmp_path):
    code, out, err = run(
        *("look", cat, *LITE0, "--out", tmp_path / "cat.png"),
        *("--class", "Tabby", "--class", "967", "--layer", "stage5_block2"),
    )
    assert code == 0, err
    assert [line.split()[0] for line in out.splitlines()] == ["Class", "tabby", "espresso"]


def test_the_maps_of_a_layer(cat, tmp_path):
    path = tmp_path / "maps.png"
    code, out, err = run(
        "look", cat, *LITE0, "--out", path, "--features", "stage2_block0", "--limit", 4
    )
    assert (code, out) == (0, ""), err
    assert pixels_of(path).shape == (2 * 64 + 2, 2 * 64 + 2, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--class", "taby"], "a class, or a number below 1000; did you mean tabby"),
        (["--class", "1000"], "'1000': expected the name of a class"),
        (["--layer", "pool"], "layer='pool' has no feature maps"),
        (["--features", "none"], "layer='none' has no feature maps"),
        (["--features", "stem", "--class", "1"], "omit --class and --layer"),
        (["--out", "cat.jpg"], "expected a path ending in .png"),
        (["--out", "nowhere/cat.png"], "there is no folder nowhere"),
    ],
)
def test_a_users_mistake_is_named_and_nothing_is_written(
    arguments, message, cat, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("look", cat, *LITE0, "--out", "cat.png", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_no_picture_is_named(cat, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    for path, message in ((broken, "can't be read"), (tmp_path / "absent.png", "no such file")):
        code, _, err = run("look", path, *LITE0, "--out", tmp_path / "out.png")
        assert code == 2
        assert message in err
    assert not (tmp_path / "out.png").exists()
