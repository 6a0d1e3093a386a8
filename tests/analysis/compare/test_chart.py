import json
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest
from PIL import Image

from keras_effnets.analysis.compare import collect, draw_chart
from keras_effnets.analysis.compare.chart import lay_out
from keras_effnets.analysis.compare.palette import LINES, SHAPES, STYLES, style
from keras_effnets.models.registry import list_models, model_info, resolve

SOME = ["mobilenet_v2", "resnet50", "vgg16", "efficientnet_b0", "zfnet", "resnet20_cifar"]


@pytest.fixture(scope="module")
def whole():
    return lay_out(collect(list_models()), x="macs", y="top1", size="params")


def texts(svg):
    return {"".join(e.itertext()).strip() for e in ElementTree.fromstring(svg).iter() if
            e.tag.endswith("}text")}  # fmt: skip


def test_labels_of_the_whole_lineage_do_not_collide(whole):
    boxes = [label.box for label in whole.labels]
    assert len(boxes) == len(whole.drawn) > 60
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])


def test_labels_are_drawn_where_they_were_placed(whole):
    renderer = whole.figure.canvas.get_renderer()
    drawn = {t.get_gid(): t for t in whole.figure.texts if t.get_gid()}
    unit = 72 / whole.figure.dpi
    for point, label in zip(whole.drawn, whole.labels, strict=True):
        extent = drawn[f"label-{point.name}"].get_window_extent(renderer)
        assert extent.x0 * unit >= label.box.left - 0.5
        assert extent.x1 * unit <= label.box.right + 0.5
        assert extent.y0 * unit >= label.box.bottom - 0.5
        assert extent.y1 * unit <= label.box.top + 0.5


def test_what_has_no_accuracy_is_left_out_and_named(whole):
    left_out = {point.name for point in whole.left_out}
    assert left_out == {point.name for point in collect(list_models()) if point.top1 is None}
    assert left_out.isdisjoint(point.name for point in whole.drawn)


def test_areas_are_in_proportion_whatever_the_shape(whole):
    axes = whole.figure.axes[0]
    marks = {c.get_gid(): c for c in axes.collections if c.get_gid()}
    ratios = []
    for point in whole.drawn:
        if point.params > 10e6:  # below that a mark has the least size that can be seen
            (size,) = marks[f"point-{point.name}"].get_sizes()
            ratios.append(size * SHAPES[style(point.family).marker][0] / point.params)
    assert len(ratios) > 20
    assert max(ratios) == pytest.approx(min(ratios))


def test_marks_are_at_their_values(whole):
    axes = whole.figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    marks = {c.get_gid(): c.get_offsets()[0].tolist() for c in axes.collections if c.get_gid()}
    for point in whole.drawn:
        assert marks[f"point-{point.name}"] == [point.value("macs"), point.value("top1")]


def test_an_svg_says_everything(tmp_path):
    chart = draw_chart(collect(SOME), tmp_path / "chart.svg")
    words = texts((tmp_path / "chart.svg").read_text("utf-8"))
    assert {*SOME[:5], "ResNet", "ZFNet", "Pareto front", "as the authors state"} <= words
    assert "resnet20_cifar" not in words
    assert "multiply-adds for one image, millions" in words
    assert any("torchvision 0.28" in each for each in words)
    assert [point.name for point in chart.front] == ["mobilenet_v2", "efficientnet_b0", "resnet50"]


def test_the_same_chart_is_the_same_file(tmp_path):
    for name in ("a.svg", "b.svg", "a.html", "b.html"):
        draw_chart(collect(SOME), tmp_path / name)
    for kind in ("svg", "html"):
        first, second = ((tmp_path / f"{name}.{kind}").read_bytes() for name in "ab")
        assert first == second


def test_a_png_is_a_picture(tmp_path):
    draw_chart(collect(SOME), tmp_path / "chart.png", x="year", y="top5", size="memory")
    with Image.open(tmp_path / "chart.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > 1000


def page_data(path):
    page = path.read_text("utf-8")
    return page, json.loads(re.search(r"^const data = (.*);$", page, re.MULTILINE)[1])


def test_a_page_needs_nothing_else(tmp_path):
    draw_chart(collect(list_models()), tmp_path / "chart.html")
    page, data = page_data(tmp_path / "chart.html")
    without_names = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
    assert not re.search(r"(https?:)?//[\w.]+\.\w+/|@import|<link|<iframe|src=", without_names)
    assert "$" not in re.sub(r"\$\{|`[^`]*`", "", page.split("<script>")[1].split("const data")[0])
    assert len(page) < 300_000
    for point in data["points"]:
        for kind in ("point", "label"):
            assert page.count(f'id="{kind}-{point["name"]}"') == 1
    assert {family for family, *_ in data["families"]} == {p["family"] for p in data["points"]}
    assert "Not drawn, a value is unknown: nin_cifar" in page


def test_a_page_knows_where_its_marks_are_and_what_they_mean(tmp_path):
    draw_chart(collect(SOME), tmp_path / "chart.html")
    page, data = page_data(tmp_path / "chart.html")
    (resnet,) = [point for point in data["points"] if point["name"] == "resnet50"]
    group = page.split('id="point-resnet50"')[1].split("</g>")[0]
    x, y = (float(re.search(rf'\b{axis}="([\d.]+)"', group)[1]) for axis in "xy")
    assert resnet["px"] == [pytest.approx(x, abs=0.01), pytest.approx(y, abs=0.01)]
    assert "torchvision 0.28, IMAGENET1K_V2" in resnet["text"]
    assert data["x"] == {"name": "macs", "more": False}
    assert data["y"] == {"name": "top1", "more": True}


def test_nothing_in_the_data_ends_the_script(tmp_path):
    (point,) = collect(["resnet50"])
    draw_chart([replace(point, source="</script><b>")], tmp_path / "chart.html")
    assert "</script><b>" not in (tmp_path / "chart.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": "flops"}, "--x 'flops' is not one of macs, params"),
        ({"size": "area"}, "--size 'area' is not one of"),
        ({"path": "chart.pdf"}, r"--out 'chart.pdf': expected a path ending in .png, .svg, .html"),
        ({"y": "latency"}, "none of the 6 models has macs, latency and params"),
    ],
)
def test_mistakes_are_named_and_leave_no_file(tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=message):
        draw_chart(collect(SOME), **{"path": "chart.png", **options})
    assert not list(tmp_path.iterdir())


def test_every_family_has_a_style_of_its_own():
    families = {model_info(name).family for name in list_models()}
    assert families <= set(STYLES)
    assert len({(s.colour, s.marker) for s in STYLES.values()}) == len(STYLES)
    assert {s.marker for s in STYLES.values()} <= set(SHAPES)
    assert style("CapsNet").line == "other"


def test_colours_stay_apart_for_those_who_lack_a_kind_of_cone():
    # Linear RGB as deuteranopes and protanopes see it: Viénot, Brettel and Mollon, 1999.
    deficits = (
        ((0.29275, 0.70725, 0), (0.29275, 0.70725, 0), (-0.02234, 0.02234, 1)),
        ((0.11238, 0.88762, 0), (0.11238, 0.88762, 0), (0.00401, -0.00401, 1)),
    )
    colours = [
        [(int(colour[i : i + 2], 16) / 255) ** 2.2 for i in (1, 3, 5)]
        for colour, _ in LINES.values()
    ]
    for matrix in deficits:
        seen = [
            [sum(a * b for a, b in zip(row, colour, strict=True)) ** (1 / 2.2) for row in matrix]
            for colour in colours
        ]
        for index, one in enumerate(seen):
            for other in seen[:index]:
                assert max(abs(a - b) for a, b in zip(one, other, strict=True)) > 0.1


def test_a_chart_of_one_family(tmp_path):
    chart = draw_chart(collect(resolve(["SqueezeNet"])), tmp_path / "chart.png")
    assert len(chart.drawn) == 2
