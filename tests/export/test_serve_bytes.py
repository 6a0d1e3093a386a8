"""Whole files, good and bad: a server reads them as `load_image` does."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from small_networks import living

from keras_effnets.export import export_saved_model
from keras_effnets.export.parity import probe_images
from keras_effnets.export.serving.decoding import prepared_image
from keras_effnets.images.preprocessing import load_image
from keras_effnets.images.preset import INTERPOLATIONS, Preset


def wave_image(width=90, height=70):
    (pixels,) = probe_images((height, width, 3), 1)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def translucent(mode):
    image = wave_image().convert(mode)
    alpha = np.random.default_rng(0).integers(0, 256, (70, 90), dtype=np.uint8)
    image.putalpha(Image.fromarray(alpha))
    return image


def sixteen_bits():
    values = np.linspace(0, 65535, 70 * 90).reshape(70, 90).astype(np.uint16)
    return Image.fromarray(values)


FILES = {
    "png": lambda: encoded(wave_image(), "PNG"),
    "grey png": lambda: encoded(wave_image().convert("L"), "PNG"),
    "palette png": lambda: encoded(wave_image().quantize(64), "PNG"),
    "translucent png": lambda: encoded(translucent("RGB"), "PNG"),
    "translucent grey png": lambda: encoded(translucent("L"), "PNG"),
    "16-bit png": lambda: encoded(sixteen_bits(), "PNG"),
    "one pixel": lambda: encoded(wave_image().resize((1, 1)), "PNG"),
    "tall": lambda: encoded(wave_image(40, 200), "PNG"),
    "bmp": lambda: encoded(wave_image(), "BMP"),
    "gif": lambda: encoded(wave_image().quantize(64), "GIF"),
    "animation": lambda: encoded(
        wave_image(), "GIF", save_all=True, append_images=[wave_image().rotate(90)]
    ),
    "webp": lambda: encoded(wave_image(), "WEBP", lossless=True),
    "jpeg": lambda: encoded(wave_image(), "JPEG"),
    "grey jpeg": lambda: encoded(wave_image().convert("L"), "JPEG"),
    "cmyk jpeg": lambda: encoded(wave_image().convert("CMYK"), "JPEG"),
    "progressive jpeg": lambda: encoded(wave_image(), "JPEG", progressive=True),
}
PRESET = Preset(crop=48, resize=56, interpolation="bicubic")


@pytest.fixture(scope="module")
def graphs():
    """Traces the graph of each preset once."""
    traced = {}

    def prepare(data, preset=PRESET):
        if preset not in traced:
            traced[preset] = tf.function(lambda x: prepared_image(x, preset)).get_concrete_function(
                tf.TensorSpec((), tf.string)
            )
        return traced[preset](tf.constant(data)).numpy()

    return prepare


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_is_read_as_load_image_reads_it(graphs, kind):
    data = FILES[kind]()
    found, expected = graphs(data), load_image(data, PRESET)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() <= 1
    assert np.abs(found - expected).max() <= 16  # the overshoot at an edge, before rounding


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize(("crop", "resize"), [(48, 56), (47, 56), (60, 51), (61, 40)])
def test_every_preset_is_followed(graphs, interpolation, crop, resize):
    preset = Preset(crop=crop, resize=resize, interpolation=interpolation)
    for data in (FILES["png"](), FILES["tall"]()):
        difference = np.abs(graphs(data, preset) - load_image(data, preset))
        assert difference.mean() <= (0 if interpolation == "nearest" else 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("endian", ["<", ">"])
def test_a_turned_jpeg_is_turned_back(graphs, orientation, endian):
    exif = Image.Exif()
    exif.endian = endian
    exif[0x010F] = "a maker whose name does not fit into its entry"
    exif[0x0112] = orientation
    data = encoded(wave_image(), "JPEG", exif=exif, quality=95)
    expected = load_image(data, PRESET)
    assert np.abs(graphs(data) - expected).mean() <= 1
    if orientation > 1:
        upright = load_image(encoded(wave_image(), "JPEG", quality=95), PRESET)
        assert np.abs(expected - upright).mean() > 5


@pytest.mark.parametrize("cut", [4, 12, 20, 40])
def test_damaged_exif_data_is_no_reason_to_fail(graphs, cut):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = bytearray(encoded(wave_image(), "JPEG", exif=exif))
    start = data.index(b"Exif\x00\x00") + cut
    data[start : start + 6] = b"\xff" * 6
    assert graphs(bytes(data)).shape == (48, 48, 3)


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    keras.utils.set_random_seed(1)
    model = living("efficientnet_lite", classifier_activation="softmax")
    root = tmp_path_factory.mktemp("bytes")
    version = export_saved_model(model, root, labels=["a", "b", "c", "d"])
    loaded = tf.saved_model.load(str(version))

    def call(files):
        return loaded.signatures["serve_bytes"](image_bytes=tf.constant(files))

    call.model, call.loaded = model, loaded
    return call


def test_names_and_scores_are_the_models(serve):
    preset = serve.model.get_layer("preprocessing").preset
    files = [FILES[kind]() for kind in ("png", "tall", "webp")]
    outputs = serve(files)
    images = np.stack([load_image(data, preset) for data in files])
    expected = np.asarray(serve.model(images, training=False))
    best = np.argsort(-expected, axis=1)
    np.testing.assert_array_equal(outputs["classes"], best)
    names = np.array([b"a", b"b", b"c", b"d"])[best]
    np.testing.assert_array_equal(outputs["names"], names)
    scores = np.take_along_axis(expected, best, axis=1)
    np.testing.assert_allclose(outputs["scores"], scores, atol=5e-3)


BAD = {
    "nothing": lambda: b"",
    "text": lambda: b"not an image",
    "a truncated jpeg": lambda: FILES["jpeg"]()[:600],
    "a truncated png": lambda: FILES["png"]()[:600],
    "a header alone": lambda: FILES["png"]()[:20],
}


@pytest.mark.parametrize("kind", BAD)
def test_one_bad_file_fails_only_its_own_batch(serve, kind):
    good = FILES["png"]()
    before = serve([good] * 9)
    with pytest.raises(tf.errors.InvalidArgumentError):
        serve([good] * 4 + [BAD[kind]()] + [good] * 5)
    after = serve([good] * 9)
    np.testing.assert_array_equal(after["scores"], before["scores"])


def test_an_image_too_narrow_is_refused(graphs):
    data = encoded(Image.new("RGB", (1, 60_000)), "PNG")
    with pytest.raises(ValueError, match="too narrow"):
        load_image(data, PRESET)
    with pytest.raises(tf.errors.InvalidArgumentError, match="too narrow"):
        graphs(data)
