import numpy as np
import pytest
from PIL import Image, ImageFont

from keras_effnets.images import contact_sheet as module
from keras_effnets.images.contact_sheet import contact_sheet

ACCENT = (0x00, 0x72, 0xB2)
SOFT_ACCENT = (0x7F, 0xB8, 0xD8)
RED, GREEN = (200, 30, 40), (20, 160, 60)


@pytest.fixture
def red(tmp_path):
    path = tmp_path / "red.png"
    Image.new("RGB", (40, 30), RED).save(path)
    return path


def read(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def count(pixels, colour):
    return int((pixels == colour).all(axis=-1).sum())


def widest(pixels, colour):
    """Returns the most pixels of a colour in any one row."""
    return int((pixels == colour).all(axis=-1).sum(axis=1).max())


def test_one_image_fills_its_cell(tmp_path, red):
    contact_sheet([(red, [("cat", 0.5)])], tmp_path / "sheet.png", cell=200)
    pixels = read(tmp_path / "sheet.png")
    assert 200 < pixels.shape[1] < 280
    # The whole square except its round corners.
    assert 0.98 * 200**2 < count(pixels, RED) <= 200**2


@pytest.mark.parametrize("score", [0.0, 0.25, 0.5, 1.0])
def test_bar_is_as_long_as_the_score(tmp_path, red, score):
    contact_sheet([(red, [("cat", score)])], tmp_path / "sheet.png", cell=200)
    assert widest(read(tmp_path / "sheet.png"), ACCENT) == pytest.approx(200 * score, abs=4)


def test_best_prediction_stands_out(tmp_path, red):
    contact_sheet([(red, [("cat", 0.6), ("dog", 0.3)])], tmp_path / "sheet.png", cell=200)
    pixels = read(tmp_path / "sheet.png")
    assert widest(pixels, ACCENT) == pytest.approx(120, abs=4)
    assert widest(pixels, SOFT_ACCENT) == pytest.approx(60, abs=4)


@pytest.mark.parametrize(
    ("images", "columns", "across", "down"),
    [(1, 4, 1, 1), (4, 4, 4, 1), (5, 4, 4, 2), (3, 1, 1, 3)],
)
def test_grid(tmp_path, red, images, columns, across, down):
    one, sheet = tmp_path / "one.png", tmp_path / "sheet.png"
    entry = (red, [("cat", 0.5)])
    contact_sheet([entry], one, cell=96)
    contact_sheet([entry] * images, sheet, columns=columns, cell=96)
    single, pixels = read(one), read(sheet)
    assert count(pixels, RED) == images * count(single, RED)
    gap = 2 * single.shape[1] - _width(tmp_path, entry, 2)
    assert pixels.shape[1] == across * (single.shape[1] - gap) + gap
    assert pixels.shape[0] == down * (single.shape[0] - gap) + gap


def _width(tmp_path, entry, images):
    contact_sheet([entry] * images, tmp_path / "row.png", cell=96)
    return read(tmp_path / "row.png").shape[1]


def test_images_come_in_order_and_tall_ones_are_cropped(tmp_path, red):
    tall = tmp_path / "tall.png"
    stored = np.full((288, 96, 3), RED, dtype=np.uint8)
    stored[96:192] = GREEN
    Image.fromarray(stored).save(tall)
    contact_sheet([(red, []), (tall, [])], tmp_path / "sheet.png", cell=96)
    pixels = read(tmp_path / "sheet.png")
    half = pixels.shape[1] // 2
    assert count(pixels[:, :half], RED) > 0.95 * 96**2
    assert count(pixels[:, half:], GREEN) > 0.95 * 96**2


def test_more_predictions_make_the_card_taller(tmp_path, red):
    heights = []
    for number in (0, 1, 3):
        contact_sheet([(red, [("cat", 0.1)] * number)], tmp_path / "sheet.png", cell=96)
        heights.append(read(tmp_path / "sheet.png").shape[0])
    assert heights[2] - heights[1] == 2 * (heights[1] - heights[0]) > 0


def test_names_that_fit_stay_and_long_ones_are_shortened():
    font = ImageFont.load_default(size=13)
    assert module._fitted("tabby", font, 200) == "tabby"
    long = "a class with a name that goes on and on and on"
    short = module._fitted(long, font, 120)
    assert short.endswith("…")
    assert long.startswith(short[:-1])
    assert 100 < font.getlength(short) <= 120
    assert module._fitted(f"{long}.jpeg", font, 120, keep_end=True).endswith("n.jpeg")
    assert module._fitted(long, font, 0) == ""


def test_letters_that_the_font_lacks_are_replaced():
    font = ImageFont.load_default(size=13)
    assert module._fitted("café\n猫", font, 200) == "cafe ?"


def test_existing_file_is_replaced_and_nothing_else_left(tmp_path, red):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "sheet.png").write_bytes(b"old")
    contact_sheet([(red, [])], folder / "sheet.png", cell=96)
    assert [path.name for path in folder.iterdir()] == ["sheet.png"]
    read(folder / "sheet.png")


def test_failed_write_keeps_the_old_file(tmp_path, red, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "sheet.png").write_bytes(b"old")

    def half_a_save(self, file, format):  # noqa: A002 - Pillow's name
        file.write(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", half_a_save)
    with pytest.raises(OSError, match="disk full"):
        contact_sheet([(red, [])], folder / "sheet.png", cell=96)
    assert [path.name for path in folder.iterdir()] == ["sheet.png"]
    assert (folder / "sheet.png").read_bytes() == b"old"


def test_sheet_appears_by_renaming_only(tmp_path, red, monkeypatch):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "sheet.png").write_bytes(b"old")

    def refuse(source, target):
        read(source)
        raise PermissionError("in use")

    monkeypatch.setattr(module.os, "replace", refuse)
    with pytest.raises(PermissionError, match="in use"):
        contact_sheet([(red, [])], folder / "sheet.png", cell=96)
    assert [path.name for path in folder.iterdir()] == ["sheet.png"]
    assert (folder / "sheet.png").read_bytes() == b"old"


def test_unreadable_image_is_named_and_no_sheet_written(tmp_path, red):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png"):
        contact_sheet([(red, []), (broken, [])], tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.parametrize("score", [-0.5, 1.5, float("nan"), float("inf")])
def test_score_that_is_not_a_probability_is_refused(tmp_path, red, score):
    with pytest.raises(ValueError, match=r"score .* of 'cat'"):
        contact_sheet([(red, [("cat", score)])], tmp_path / "sheet.png")


@pytest.mark.parametrize(
    ("options", "message"), [({"columns": 0}, "columns=0"), ({"cell": 95}, "cell=95")]
)
def test_options_out_of_range_are_named(tmp_path, red, options, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet([(red, [])], tmp_path / "sheet.png", **options)


def test_no_images_are_refused(tmp_path):
    with pytest.raises(ValueError, match="images is empty"):
        contact_sheet([], tmp_path / "sheet.png")
