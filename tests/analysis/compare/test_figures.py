import json
import re
from pathlib import Path

import pytest

from keras_effnets.analysis.compare import FIGURES, draw_figure, figure_data
from keras_effnets.analysis.costs import cost
from keras_effnets.models.registry import model_info

DOCS = Path(__file__).parents[3] / "docs"
MAKEFILE = (Path(__file__).parents[3] / "Makefile").read_text("utf-8")


def test_three_small_kernels_see_as_far_as_one_large_and_cost_less():
    stacks = figure_data("stacked-3x3")["stacks"]
    three, one = stacks["three 3×3"], stacks["one 7×7"]
    assert three["receptive_field"] == one["receptive_field"] == 7
    # Weights 27 to 49 a pair of channels; three biases to one.
    assert three["params"] == 27 * 256**2 + 3 * 256
    assert one["params"] == 49 * 256**2 + 256
    assert three["macs"] * 49 == one["macs"] * 27
    assert stacks["two 3×3"]["receptive_field"] == stacks["one 5×5"]["receptive_field"] == 5


def test_bottlenecks_make_inception_cheaper_and_narrower():
    data = figure_data("inception-bottleneck")
    assert list(data["blocks"]) == ["3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b"]
    first = data["blocks"]["3a"]
    # 28 × 28 pixels, 192 channels in: 64 of 1×1, 128 of 3×3, 32 of 5×5.
    assert first["naive"]["macs"] == 28**2 * 192 * (64 + 9 * 128 + 25 * 32)
    assert first["naive"]["channels"] == 64 + 128 + 32 + 192
    assert first["bottlenecked"]["channels"] == 256
    assert data["macs"]["bottlenecked"] < data["network_macs"] < data["macs"]["naive"]
    for block in data["blocks"].values():
        assert block["bottlenecked"]["macs"] < block["naive"]["macs"]


def test_expected_depth_is_the_papers():
    data = figure_data("stochastic-depth")
    # Section 3.2: (3L - 1) / 4 for the linear schedule that ends at one half, and L = 54.
    assert sum(data["kept"]["linear"]) == pytest.approx((3 * 54 - 1) / 4)
    assert sum(data["kept"]["uniform"]) == pytest.approx(27)
    assert data["expected"]["linear"][-1] == data["blocks"] == 54


def test_growth_rate_of_densenet():
    data = figure_data("densenet-growth")
    at = data["rates"].index(32)
    info = model_info("densenet121")
    assert (data["params"][at], data["macs"][at]) == (info.parameters, info.multiply_adds)
    channels = data["channels"][32]
    assert channels[:8] == [64, 96, 128, 160, 192, 224, 256, 128]
    assert (len(channels), channels[-1]) == (1 + 58 + 3, 1024)


def test_knobs_of_squeezenet():
    data = figure_data("squeezenet-knobs")
    ratios, shares = data["ratios"], data["shares"]
    at = ratios["squeeze_ratio"].index(data["default"]["squeeze_ratio"])
    assert ratios["params"][at] == model_info("squeezenet1_0").parameters
    half = ratios["squeeze_ratio"].index(0.5)
    assert shares["params"][shares["pct3x3"].index(0.5)] == ratios["params"][half]
    for table in (ratios, shares):
        assert table["params"] == sorted(table["params"])


def test_separable_convolutions_cost_what_the_formula_says():
    data = figure_data("separable-cost")
    for kernel, ratios in data["ratios"].items():
        assert ratios == pytest.approx([1 / n + 1 / kernel**2 for n in data["widths"]])
    whole = sum(block["separable"] for block in data["blocks"].values())
    stem, classifier = 112**2 * 27 * 32, 1024 * 1000
    assert whole + stem + classifier == model_info("mobilenet_v1").multiply_adds


def test_multipliers_of_mobilenet():
    data = figure_data("mobilenet-multipliers")
    names = {0.25: "mobilenet_v1_0.25", 0.5: "mobilenet_v1_0.5", 1.0: "mobilenet_v1"}
    for alpha, name in names.items():
        info = model_info(name)
        assert data["macs"][alpha][data["sides"].index(224)] == info.multiply_adds
        assert data["params"][data["alphas"].index(alpha)] == info.parameters


@pytest.mark.full
def test_scaling_of_efficientnet():
    data = figure_data("efficientnet-scaling")
    b0 = model_info("efficientnet_b0")
    for path in data["paths"].values():
        assert (path["params"][0], path["macs"][0]) == (b0.parameters, b0.multiply_adds)
        growth = [macs / b0.multiply_adds for macs in path["macs"]]
        assert growth == pytest.approx(data["factors"], rel=0.3)
    largest = {way: path["params"][-1] for way, path in data["paths"].items()}
    assert largest["resolution"] == b0.parameters < largest["compound"] < largest["depth"]


@pytest.mark.parametrize("name", ["stacked-3x3", "stochastic-depth"])
def test_a_figure_is_drawn_the_same_each_time(tmp_path, name):
    data = draw_figure(name, tmp_path / "a.svg")
    draw_figure(name, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert FIGURES[name].title in (tmp_path / "a.svg").read_text("utf-8")
    assert json.loads(json.dumps(data))


def test_nothing_is_allocated(monkeypatch):
    import keras

    def initialise(*_, **__):
        raise AssertionError("a variable got a value")

    monkeypatch.setattr(keras.Variable, "_initialize", initialise)
    from keras_effnets import MobileNetV3Small

    assert cost(lambda: MobileNetV3Small(weights=None)).params == 2_542_856


@pytest.mark.parametrize(
    ("name", "path", "message"),
    [
        ("densnet-growth", "a.png", "'densnet-growth' is not one .* did you mean densenet-growth?"),
        ("stacked-3x3", "a.jpg", "--out '.*a.jpg': expected a path ending in .png or .svg"),
    ],
)
def test_mistakes(tmp_path, name, path, message):
    with pytest.raises(ValueError, match=message):
        draw_figure(name, tmp_path / path)


def test_the_page_of_the_lineage_shows_every_picture_with_its_command():
    page = (DOCS / "lineage.md").read_text("utf-8")
    shown = re.findall(r"!\[[^\]]+\]\((lineage/[^)]+)\)", page)
    assert sorted(shown) == sorted(f"lineage/{path.name}" for path in (DOCS / "lineage").iterdir())
    for name in FIGURES:
        assert f"`keras-effnets figure {name} --out docs/lineage/{name}.png`" in page
    commands = re.findall(r"^`(keras-effnets (?:compare|figure) .+)`$", page, re.MULTILINE)
    assert len(commands) == len(shown)
    for picture, command in zip(shown, commands, strict=True):
        assert command.endswith(f"--out docs/{picture}")


def test_make_docs_draws_the_same():
    page = (DOCS / "lineage.md").read_text("utf-8")
    recipe = MAKEFILE.split("\ndocs:")[1].split("\n\n")[0].replace("$(LINEAGE)", "docs/lineage")
    drawn = set(re.findall(r"\$\(BIN\)/(keras-effnets compare .+)", recipe))
    assert drawn == set(re.findall(r"^`(keras-effnets compare .+)`$", page, re.MULTILINE))
    figures = re.search(r"^FIGURES := (.*?)\n\n", MAKEFILE, re.MULTILINE | re.DOTALL)[1]
    assert figures.replace("\\", "").split() == list(FIGURES)
    assert "tests/test_model_pages.py" in recipe
