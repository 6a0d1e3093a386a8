"""A summary as text, as Markdown, as JSON and on a terminal."""

import json

import keras
import pytest
from rich.console import Console

import keras_effnets

L = keras.layers


@pytest.fixture(scope="module")
def found() -> keras_effnets.Summary:
    inputs = keras.Input((32, 32, 3))
    x = keras_effnets.layers.ConvNormAct(8, 3, strides=2, name="stem")(inputs)
    x = keras_effnets.layers.SqueezeExcite(2, name="gate")(x)
    x = L.GlobalAveragePooling2D(name="pool")(x)
    model = keras.Model(inputs, L.Dense(2, name="a|b_c")(x), name="small")
    model.get_layer("stem").trainable = False
    return keras_effnets.summary(model, 4, depth=2)


def test_plain_text(found):
    lines = str(found).splitlines()
    assert all(line == line.rstrip() for line in lines)
    table = [" ".join(line.split()) for line in lines]
    head = "Layer Kind Input Output Kernel Parameters Trainable Multiply-adds Memory, MB"
    assert table[0] == f"{head} Receptive field"
    kernel, norm = 4 * 256 * 216, 4 * 16
    assert table[1:8] == [
        f"stem ConvNormAct 32x32x3 16x16x8 3x3 232 0% {kernel + norm:,} 0.13 3",
        f"conv Conv2D 34x34x3 16x16x8 3x3 216 0% {kernel:,} 0.07 3",
        f"norm BatchNormalization 16x16x8 16x16x8 - 16 0% {norm} 0.07 3",
        f"gate SqueezeExcite 16x16x8 16x16x8 - 42 100% {4 * 42} 0.00 all (3)",
        f"reduce Conv2D 1x1x8 1x1x2 1x1 18 100% {4 * 18} 0.00 all",
        f"expand Conv2D 1x1x2 1x1x8 1x1 24 100% {4 * 24} 0.00 all",
        "pool GlobalAveragePooling2D 16x16x8 8 - - - - - all",
    ]
    assert lines[2].startswith("  conv ")
    assert table[-9:] == [
        "Parameters 292",
        "trainable 60",
        "not trainable 232",
        "Moving statistics 16 (Keras counts them as parameters)",
        f"Multiply-adds {221_488:,} (4 samples, as torchinfo counts)",
        "Input 0.05 MB",
        "Forward and backward 0.13 MB",
        "Memory of parameters 0.00 MB",
        "In all 0.18 MB",
    ]


def test_markdown(found):
    lines = found.markdown().splitlines()
    assert len({line.count(" | ") for line in lines[: lines.index("")]}) == 1
    assert lines[1] == f"| {' | '.join(['---'] * 5 + ['---:'] * 5)} |"
    assert lines[3].startswith("| \u00a0\u00a0conv | Conv2D |")
    assert lines[9].startswith("| a\\|b\\_c | Dense | 8 | 2 |")
    assert "| Parameters | 292 |" in lines


def test_json_holds_what_is_shown_and_no_more(found):
    values = json.loads(json.dumps(found.as_dict()))
    assert (values["parameters"], values["trainable"], values["not_trainable"]) == (292, 60, 232)
    assert values["inputs"] == [[4, 32, 32, 3]]
    stem, gate, *_ = values["layers"]
    assert [row["name"] for row in stem["layers"]] == ["conv", "norm"]
    assert stem["receptive_field"] == {"sizes": [3, 3], "whole": False, "places": [16, 16]}
    assert gate["receptive_field"]["whole"]
    shallow = json.loads(json.dumps(found.as_dict() | {"depth": 1}))
    assert shallow["depth"] == 1


def test_rows_deeper_than_asked_are_measured_and_not_shown(found):
    assert [row.path for row in found.shown()][:3] == ["stem", "stem/conv", "stem/norm"]
    (first, *_) = found.rows
    assert [row.path for row in first.within(1)] == ["stem"]


def test_rich_shows_it_with_a_rule_below_the_head(found):
    console = Console(width=200)
    with console.capture() as text:
        console.print(found)
    assert "────" in text.get()
    assert "squeeze" not in text.get()
    assert "GlobalAveragePooling2D" in text.get()


def test_unlike_sides_are_shown_both():
    model = keras.Sequential([keras.Input((9, 9, 1)), L.Conv2D(1, (1, 3))])
    assert str(keras_effnets.summary(model)).splitlines()[1].endswith(" 1x3")
