"""Heat maps and feature maps as images."""

import numpy as np
import pytest
from PIL import Image

from keras_effnets.analysis.seeing import feature_grid, feature_maps, overlay
from keras_effnets.analysis.seeing.panels import captioned

RNG = np.random.default_rng(0)


def test_an_overlay_leaves_the_picture_where_there_is_no_heat():
    picture = RNG.integers(0, 256, (20, 30, 3)).astype(np.float32)
    heat = np.zeros((20, 30), np.float32)
    heat[5:10, 5:10] = 1
    drawn = np.asarray(overlay(picture, heat), np.float32)
    assert drawn.shape == picture.shape
    np.testing.assert_array_equal(drawn[heat == 0], picture[heat == 0])
    # Where it is most, what is left of the picture is a fifth, and the rest is light yellow.
    assert np.abs(drawn[heat == 1] - 0.2 * picture[heat == 1] - [201.6, 204, 131.2]).max() <= 1
    np.testing.assert_array_equal(np.asarray(overlay(picture, heat, strength=0)), picture)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"picture": np.zeros((4, 4))}, r"picture has shape \(4, 4\) and heat \(4, 4\)"),
        ({"heat": np.zeros((4, 5))}, "expected \\(H, W, 3\\) and \\(H, W\\)"),
        ({"heat": np.full((4, 4), 2.0)}, "heat ranges from 2 to 2: expected 0 to 1"),
        ({"heat": np.full((4, 4), np.nan)}, "heat ranges from nan to nan"),
        ({"strength": 1.5}, "strength=1.5"),
    ],
)
def test_an_overlay_of_something_else_is_refused(options, message):
    options = {"picture": np.zeros((4, 4, 3)), "heat": np.zeros((4, 4)), **options}
    with pytest.raises(ValueError, match=message):
        overlay(**options)


def test_a_grid_shows_the_channels_in_their_order():
    maps = np.zeros((2, 4, 5), np.float32)
    maps[0, 0] = [1, 2, 300, 0, 5]  # each map is stretched by itself
    maps[1, 3, 4] = 10
    grid = feature_grid(maps, columns=3, cell=8)
    assert grid.size == (3 * 8 + 2 * 2, 2 * 4 + 2)
    light, dark = (252, 255, 164), (0, 0, 4)
    assert [grid.getpixel((10 * column, 0)) for column in range(3)] == [light, light, light]
    assert grid.getpixel((7, 0)) == dark
    assert grid.getpixel((0, 6)) == dark  # the same everywhere
    assert dark < grid.getpixel((10, 6)) < light
    assert grid.getpixel((17, 9)) == light
    assert grid.getpixel((27, 9)) == (255, 255, 255)  # there is no sixth


def test_a_grid_has_at_most_as_many_maps_as_asked():
    maps = RNG.normal(size=(3, 3, 100))
    assert feature_grid(maps, cell=10).size == (8 * 12 - 2, 8 * 12 - 2)
    assert feature_grid(maps, limit=1, cell=10).size == (10, 10)
    assert feature_grid(maps, limit=2, columns=9, cell=10).size == (22, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maps": np.zeros((3, 3))}, r"maps has shape \(3, 3\)"),
        ({"maps": np.zeros((3, 3, 0))}, "maps has shape"),
        ({"maps": np.full((3, 3, 1), np.inf)}, "infinite or NaN"),
        ({"limit": 0}, "limit=0"),
        ({"columns": 0}, "columns=0"),
        ({"cell": 1.5}, "cell=1.5"),
    ],
)
def test_a_grid_of_something_else_is_refused(options, message):
    options = {"maps": np.zeros((3, 3, 1)), **options}
    with pytest.raises(ValueError, match=message):
        feature_grid(**options)


def test_feature_maps_are_what_the_layer_gives(small):
    network = small("squeezenet")
    picture = RNG.uniform(0, 255, (33, 33, 3)).astype(np.float32)
    maps = feature_maps(network, picture, "fire2")
    assert maps.shape == network.get_layer("fire2").output.shape[1:]
    x = picture[None]
    for layer in network.layers[1:]:
        x = layer(x)
        if layer.name == "fire2":
            break
    np.testing.assert_allclose(maps, np.asarray(x)[0], atol=1e-6)
    with pytest.raises(
        ValueError, match="'classifier' has no feature maps: expected one of conv1, "
    ):
        feature_maps(network, picture, "classifier")


def test_a_row_of_pictures_has_their_sides_and_captions():
    sheet = captioned([(Image.new("RGB", (10, 5), "red"), "a"), (Image.new("RGB", (8, 8)), "ß")])
    assert sheet.size == (2 * 224 + 3 * 12, 224 + 24 + 2 * 12)
    assert sheet.getpixel((12 + 100, 12 + 50)) == (255, 0, 0)
    caption = np.asarray(sheet.crop((0, 236, 236, 260)))
    assert caption.min() < 100
    long = captioned([(Image.new("RGB", (224, 224)), "long " * 100)])
    assert (np.asarray(long.crop((12 + 224, 0, long.width, long.height))) == 255).all()
