import io
import json
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision_import import import_torchvision

from keras_effnets.images import reading
from keras_effnets.images.preprocessing import load_image, preprocess_input
from keras_effnets.images.preset import INTERPOLATIONS, Preset
from keras_effnets.images.reading import read_rgb

ROOT = Path(__file__).parents[2]
SIZES = [(64, 64), (65, 64), (64, 65), (97, 61), (61, 97), (33, 200), (200, 33), (31, 30), (1, 7)]


def noise(width, height, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def encoded(image, file_format="PNG", **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def pixels(data):
    return np.asarray(read_rgb(data))


class FakeLayer:
    def __init__(self, preset, normalize):
        self.preset = preset
        self.normalize = normalize


class FakeModel:
    """Answers `get_layer` as a Keras model does."""

    name = "fake"

    def __init__(self, **layers):
        self.layers = layers

    def get_layer(self, name):
        if name not in self.layers:
            raise ValueError(f"No such layer: {name}")
        return self.layers[name]


# Preset


def test_preset_defaults_are_torchvisions():
    preset = Preset(crop=224, resize=256)
    np.testing.assert_allclose(preset.mean, np.array([0.485, 0.456, 0.406]) * 255, rtol=1e-12)
    np.testing.assert_allclose(preset.std, np.array([0.229, 0.224, 0.225]) * 255, rtol=1e-12)
    assert preset.interpolation == "bilinear"


def test_preset_at_another_side():
    preset = Preset(crop=224, resize=256, interpolation="bicubic", mean=(1, 2, 3), std=(4, 5, 6))
    assert preset.at(224) is preset
    larger = preset.at(300)
    assert (larger.crop, larger.resize) == (300, 343)
    assert larger == Preset(
        crop=300, resize=343, interpolation="bicubic", mean=(1, 2, 3), std=(4, 5, 6)
    )
    assert Preset(crop=100, resize=1).at(2).resize == 1
    with pytest.raises(ValueError, match="side=0"):
        preset.at(0)


def test_preset_survives_json():
    preset = Preset(crop=240, resize=255, interpolation="lanczos", mean=(127,) * 3, std=(128,) * 3)
    again = Preset.from_dict(json.loads(json.dumps(preset.to_dict())))
    assert again == preset
    assert hash(again) == hash(preset)
    assert Preset.from_dict({"crop": 8, "resize": 9}) == Preset(crop=8, resize=9)


def test_preset_holds_plain_python_values():
    preset = Preset(crop=np.int64(8), resize=np.int32(9), mean=np.zeros(3), std=np.ones(3))
    assert type(preset.crop) is int
    assert preset == Preset(crop=8, resize=9, mean=(0, 0, 0), std=(1, 1, 1))
    json.dumps(preset.to_dict())


@pytest.mark.parametrize(
    "values",
    [
        {"crop": 0},
        {"crop": -1},
        {"crop": 224.0},
        {"crop": True},
        {"crop": None},
        {"resize": 0},
        {"resize": "256"},
        {"interpolation": "cubic"},
        {"interpolation": ["bilinear"]},
        {"mean": (1, 2)},
        {"mean": 5},
        {"mean": (1, 2, float("nan"))},
        {"std": (1, 0, 1)},
        {"std": (1, -1, 1)},
        {"std": (1, 1, float("inf"))},
        {"std": "abc"},
    ],
)
def test_wrong_preset_values_are_named(values):
    (name,) = values
    with pytest.raises(ValueError, match=rf"^{name}=.*: expected"):
        Preset(**{"crop": 224, "resize": 256, **values})


@pytest.mark.parametrize("values", [{"crop": 8}, {"crop": 8, "resize": 9, "size": 3}])
def test_wrong_preset_names_are_named(values):
    with pytest.raises(ValueError, match=r"unknown \['size'\]|missing \['resize'\]"):
        Preset.from_dict(values)


# The same bits as torchvision


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_equals_torchvision(interpolation, version):
    import_torchvision()
    if version == "v1":
        from torchvision import transforms
    else:
        from torchvision.transforms import v2 as transforms
    mode = transforms.InterpolationMode(interpolation)
    for width, height in SIZES:
        image = Image.fromarray(noise(width, height, seed=width * height))
        data = encoded(image)
        # Downscaling, upscaling, the crop's side even and odd, and a crop that needs a border.
        for crop, resize in [(32, 36), (33, 36), (32, 37), (64, 64), (80, 81), (48, 41), (49, 30)]:
            reference = transforms.Compose(
                [transforms.Resize(resize, interpolation=mode), transforms.CenterCrop(crop)]
            )(image)
            ours = load_image(data, Preset(crop=crop, resize=resize, interpolation=interpolation))
            assert ours.dtype == np.float32
            assert ours.shape == (crop, crop, 3)
            np.testing.assert_array_equal(ours, np.asarray(reference), f"{image.size} {crop}")


def test_equals_torchvisions_preset_with_normalisation(tmp_path):
    torchvision = import_torchvision()
    image = Image.fromarray(noise(301, 259))
    reference = torchvision.models.EfficientNet_B0_Weights.IMAGENET1K_V1.transforms()(image)
    preset = Preset(crop=224, resize=256, interpolation="bicubic")
    model = FakeModel(preprocessing=FakeLayer(preset, normalize=False))
    image.save(tmp_path / "image.png")
    ours = preprocess_input(load_image(tmp_path / "image.png", preset), model)
    np.testing.assert_allclose(ours, reference.permute(1, 2, 0).numpy(), rtol=0, atol=1e-5)


def test_path_string_and_bytes_give_the_same(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(encoded(noise(20, 30)))
    preset = Preset(crop=16, resize=18)
    first = load_image(path, preset)
    assert np.ptp(first) > 50
    np.testing.assert_array_equal(first, load_image(str(path), preset))
    np.testing.assert_array_equal(first, load_image(path.read_bytes(), preset))


def test_border_is_black_and_its_odd_pixel_last():
    white = np.full((4, 4, 3), 255, dtype=np.uint8)
    expected = np.zeros((7, 7, 3))
    expected[1:5, 1:5] = 255
    np.testing.assert_array_equal(load_image(encoded(white), Preset(crop=7, resize=4)), expected)


# EXIF orientation

UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(orientation, file_format):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    chosen = options.get(file_format, {})
    stored = noise(13, 8)
    plain = pixels(encoded(stored, file_format, **chosen))
    turned = pixels(encoded(stored, file_format, exif=exif, **chosen))
    np.testing.assert_array_equal(turned, UPRIGHT[orientation](plain))


def test_orientation_comes_before_the_resize():
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = noise(40, 23)
    preset = Preset(crop=16, resize=17)
    np.testing.assert_array_equal(
        load_image(encoded(stored, exif=exif), preset),
        load_image(encoded(np.ascontiguousarray(np.rot90(stored, -1))), preset),
    )


@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0MM\0*\0\0\0\x08", b"Exif\0\0"])
def test_broken_exif_is_ignored(exif):
    stored = noise(13, 8)
    data = encoded(stored, exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(pixels(data), stored)


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_unknown_orientation_is_ignored(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = noise(13, 8)
    np.testing.assert_array_equal(pixels(encoded(stored, exif=exif)), stored)


# Colour modes


def over_white(colour, alpha):
    alpha = alpha[..., np.newaxis] / 255
    return colour * alpha + 255 * (1 - alpha)


def test_grey_becomes_three_equal_channels():
    grey = noise(9, 5, 1)
    np.testing.assert_array_equal(pixels(encoded(grey)), np.stack([grey] * 3, axis=-1))


def test_one_bit_becomes_black_and_white():
    bits = noise(9, 5, 1) > 127
    data = encoded(Image.fromarray(bits))
    np.testing.assert_array_equal(pixels(data), np.stack([bits * 255] * 3, axis=-1))


def palette_image():
    image = Image.frombytes("P", (4, 1), bytes([0, 1, 2, 3]))
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 200, 210, 220])
    return image


def test_palette():
    expected = [[10, 20, 30], [40, 50, 60], [70, 80, 90], [200, 210, 220]]
    assert pixels(encoded(palette_image()))[0].tolist() == expected
    assert pixels(encoded(palette_image(), "GIF"))[0].tolist() == expected


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_palette_with_one_transparent_entry(file_format):
    data = encoded(palette_image(), file_format, transparency=1)
    expected = [[10, 20, 30], [255, 255, 255], [70, 80, 90], [200, 210, 220]]
    assert pixels(data)[0].tolist() == expected


def test_palette_with_half_transparent_entries():
    data = encoded(palette_image(), transparency=bytes([255, 0, 51, 255]))
    expected = [[10, 20, 30], [255, 255, 255], [218, 220, 222], [200, 210, 220]]
    assert pixels(data)[0].tolist() == expected


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_rgba_is_composited_over_white(file_format):
    rgba = noise(16, 16, 4)
    rgba[0, :, 3] = 0
    rgba[1, :, 3] = 255
    result = pixels(encoded(rgba, file_format))
    np.testing.assert_allclose(result, over_white(rgba[..., :3], rgba[..., 3]), atol=1)
    assert (result[0] == 255).all()
    np.testing.assert_array_equal(result[1], rgba[1, :, :3])


def test_grey_with_alpha_is_composited_over_white():
    la = noise(16, 16, 2)
    grey = np.stack([la[..., 0]] * 3, axis=-1)
    image = Image.fromarray(la)
    assert image.mode == "LA"
    np.testing.assert_allclose(pixels(encoded(image)), over_white(grey, la[..., 1]), atol=1)


def test_transparent_colour_becomes_white():
    rgb = np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8)
    assert pixels(encoded(rgb, transparency=(1, 2, 3)))[0].tolist() == [[255] * 3, [4, 5, 6]]
    grey = np.array([[7, 8]], dtype=np.uint8)
    assert pixels(encoded(grey, transparency=8))[0].tolist() == [[7] * 3, [255] * 3]


INKS = {(0, 0, 0, 0): 255, (0, 0, 0, 255): 0, (0, 255, 255, 0): (255, 0, 0)}


@pytest.mark.parametrize(("ink", "colour"), INKS.items())
@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk(ink, colour, file_format):
    data = encoded(Image.new("CMYK", (16, 16), ink), file_format)
    # Pillow writes CMYK JPEGs as Adobe does: inverted, and with a marker that says so.
    assert (b"Adobe" in data) == (file_format == "JPEG")
    np.testing.assert_allclose(pixels(data), np.broadcast_to(colour, (16, 16, 3)), atol=3)


def test_ycbcr():
    rgb = np.full((8, 8, 3), (200, 40, 90), dtype=np.uint8)
    data = encoded(Image.fromarray(rgb).convert("YCbCr"), "TIFF")
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "YCbCr"
    np.testing.assert_allclose(pixels(data), rgb, atol=2)


@pytest.mark.parametrize(
    ("dtype", "file_format", "mode"),
    [
        ("<u2", "PNG", "I;16"),
        ("<u2", "TIFF", "I;16"),
        (">u2", "TIFF", "I;16B"),
        ("<i4", "TIFF", "I"),
        ("<i4", "PPM", "I"),
    ],
)
def test_16_bits_are_scaled_not_clipped(dtype, file_format, mode):
    grey = np.array([[0, 255, 256, 32768, 65280, 65535]], dtype=dtype)
    data = encoded(grey, file_format)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == mode
    assert pixels(data)[0].tolist() == [[v] * 3 for v in (0, 0, 1, 128, 255, 255)]


@pytest.mark.parametrize("factor", [256, 257])
def test_8_bits_come_back_from_16(factor):
    grey = np.arange(256, dtype=np.uint16)[np.newaxis]
    result = pixels(encoded(grey * np.uint16(factor)))
    np.testing.assert_array_equal(result[..., 0], grey)


def test_32_bits_are_stretched():
    grey = np.array([[-1000, 0, 1000]], dtype=np.int32)
    assert pixels(encoded(grey, "TIFF"))[0, :, 0].tolist() == [0, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 0.25, 1], [0, 64, 255]),
        ([0.5, 0.5, 0.5], [128, 128, 128]),
        ([0, 12.4, 200], [0, 12, 200]),
        ([-1, 0, 1], [0, 128, 255]),
        ([0, 500, 1000], [0, 128, 255]),
        ([300, 300, 300], [0, 0, 0]),
    ],
)
def test_floats(values, expected):
    grey = np.array([values], dtype=np.float32)
    assert pixels(encoded(grey, "TIFF"))[0, :, 1].tolist() == expected


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_floats_that_are_not_finite_are_refused(value):
    grey = np.array([[0, value]], dtype=np.float32)
    with pytest.raises(ValueError, match="infinite or NaN"):
        read_rgb(encoded(grey, "TIFF"))


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (pixels(data) == (255, 0, 0)).all()


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "BMP", "PPM", "JPEG2000", "AVIF"])
def test_other_formats_are_read(file_format):
    Image.init()
    if file_format not in Image.SAVE:
        pytest.skip(f"this Pillow can't write {file_format}")
    flat = np.full((16, 16, 3), (10, 120, 230), dtype=np.uint8)
    np.testing.assert_allclose(pixels(encoded(flat, file_format)), flat, atol=6)


# Files that are refused


def open_files():
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


@pytest.fixture
def _closed_afterwards():
    before = open_files()
    yield
    assert open_files() == before


@pytest.mark.usefixtures("_closed_afterwards")
@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"These are no pixels.", "not one of JPEG"),
        ("empty.png", b"", "the file is empty"),
        ("short.png", b"\x89PNG\r\n\x1a\n", "can't be read"),
        ("lies.jpg", b"BM is how a bitmap starts", "can't be read"),
        ("vector.eps", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not one of JPEG"),
    ],
)
def test_not_an_image(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        load_image(path, Preset(crop=8, resize=8))
    assert str(path) in str(caught.value)


@pytest.mark.usefixtures("_closed_afterwards")
@pytest.mark.parametrize(
    ("file_format", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("GIF", {}),
        ("BMP", {}),
        ("PPM", {}),
        ("WEBP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.9])
def test_truncated_image(tmp_path, file_format, options, kept):
    data = encoded(noise(60, 50), file_format, **options)
    path = tmp_path / "cut.bin"
    path.write_bytes(data)
    read_rgb(path)
    path.write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(ValueError, match=r"cut\.bin"):
        read_rgb(path)


def test_files_are_closed_after_reading(tmp_path):
    before = open_files()
    for file_format in ("JPEG", "PNG", "GIF", "TIFF", "WEBP"):
        path = tmp_path / f"image.{file_format.lower()}"
        path.write_bytes(encoded(noise(20, 20), file_format))
        image = read_rgb(path)
        assert open_files() == before
        image.load()


def test_broken_bytes_are_named_by_their_number():
    with pytest.raises(ValueError, match="<5 bytes>"):
        read_rgb(b"12345")


def test_damaged_files_raise_nothing_but_value_errors():
    rng = np.random.default_rng(0)
    refused = 0
    for file_format in ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"):
        data = encoded(noise(24, 20), file_format)
        for _ in range(60):
            damaged = bytearray(data)
            for position in rng.integers(0, min(len(data), 300), 4):
                damaged[position] = rng.integers(256)
            try:
                read_rgb(bytes(damaged))
            except ValueError:
                refused += 1
    assert refused > 60


def test_missing_file_and_folder_are_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.png"):
        read_rgb(tmp_path / "nowhere.png")
    with pytest.raises(OSError, match=tmp_path.name):
        read_rgb(tmp_path)


def test_file_descriptors_are_refused():
    with pytest.raises(TypeError):
        read_rgb(0)


# Decompression bombs


def png_of_zeros(width, height):
    """Returns a real 8-bit grey PNG without holding its pixels in memory."""

    def chunk(kind, content):
        crc = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)

    packer = zlib.compressobj(1)
    row = bytes(width + 1)
    body = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


# The package is imported without its __init__, which would add Keras's own memory.
BARE = f"""
import sys, types
package = types.ModuleType("keras_effnets")
package.__path__ = [{str(ROOT / "keras_effnets")!r}]
sys.modules["keras_effnets"] = package
"""


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", BARE + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout


def test_bomb_is_refused_with_bounded_memory(tmp_path):
    pytest.importorskip("resource", reason="memory is measured with POSIX's getrusage")
    path = tmp_path / "bomb.png"
    path.write_bytes(png_of_zeros(20_000, 20_000))
    script = """
import resource
from keras_effnets.images.reading import read_rgb
from keras_effnets.images.preprocessing import load_image
from keras_effnets.images.preset import Preset
from PIL import Image
Image.init()
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
before = peak()
try:
    load_image(sys.argv[1], Preset(crop=8, resize=8))
except ValueError as error:
    print(peak() - before, error)
"""
    grown, message = run(script, path).split(" ", 1)
    # Decoded, it would take 381 MiB.
    assert int(grown) < 40
    assert "bomb.png" in message
    assert "20000 x 20000 pixels" in message


def test_limit_is_ours_and_pillows_is_silent(monkeypatch):
    data = encoded(noise(8, 8))
    # Pillow warns above its limit and raises above twice that; warnings are errors here.
    for limit in (40, 20):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert load_image(data, Preset(crop=4, resize=8)).shape == (4, 4, 3)
        assert limit == Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(reading, "MAX_PIXELS", 64)
    read_rgb(data)
    monkeypatch.setattr(reading, "MAX_PIXELS", 63)
    with pytest.raises(ValueError, match="8 x 8 pixels: at most 63 are allowed"):
        read_rgb(data)


def test_pillows_own_refusal_is_a_value_error(monkeypatch):
    def refuse(stream, name):
        raise Image.DecompressionBombError("too large")

    Image.init()
    monkeypatch.setitem(Image.OPEN, "PNG", (refuse, lambda prefix: True))
    with pytest.raises(ValueError, match="too large"):
        read_rgb(encoded(noise(8, 8)))


def test_image_too_narrow_to_resize_is_refused():
    strip = encoded(np.zeros((1, 60_000), dtype=np.uint8))
    with pytest.raises(ValueError, match="60000 x 1 pixels are too narrow"):
        load_image(strip, Preset(crop=224, resize=256))
    assert load_image(strip, Preset(crop=8, resize=8)).shape == (8, 8, 3)


# preprocess_input

PRESET = Preset(crop=4, resize=4, mean=(10, 20, 30), std=(2, 4, 5))
BARE_MODEL = FakeModel(preprocessing=FakeLayer(PRESET, normalize=False))
FULL_MODEL = FakeModel(preprocessing=FakeLayer(PRESET, normalize=True))


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int8, np.int64, np.uint16, np.float16, np.float32, np.float64]
)
@pytest.mark.parametrize("shape", [(3, 5, 3), (2, 3, 5, 3)])
def test_pixels_are_normalised_for_a_model_that_does_not(dtype, shape):
    x = (np.arange(np.prod(shape)) % 100).reshape(shape).astype(dtype)
    before = x.copy()
    result = preprocess_input(x, BARE_MODEL)
    assert result.dtype == np.float32
    expected = (before.astype(np.float64) - [10, 20, 30]) / [2, 4, 5]
    np.testing.assert_allclose(result, expected, rtol=1e-6)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_pixels_are_copied_for_a_model_that_normalises(dtype):
    x = noise(5, 4).astype(dtype)
    result = preprocess_input(x, FULL_MODEL)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, x)
    assert not np.shares_memory(result, x)


def test_lists_and_read_only_arrays_are_taken():
    x = np.full((1, 1, 3), 12.0, dtype=np.float32)
    x.flags.writeable = False
    for given in (x, x.tolist()):
        np.testing.assert_allclose(preprocess_input(given, BARE_MODEL)[0, 0], [1, -2, -3.6])


@pytest.mark.parametrize("shape", [(3,), (4, 4), (4, 4, 1), (3, 4, 4), (1, 2, 4, 4, 3), ()])
def test_wrong_shapes_are_named(shape):
    with pytest.raises(ValueError, match="x has shape"):
        preprocess_input(np.zeros(shape), BARE_MODEL)


@pytest.mark.parametrize("dtype", [bool, complex, str, object])
def test_wrong_types_are_named(dtype):
    with pytest.raises(ValueError, match="x has type"):
        preprocess_input(np.zeros((4, 4, 3), dtype=dtype), BARE_MODEL)


@pytest.mark.parametrize(
    "model",
    [
        None,
        FakeModel(),
        FakeModel(preprocessing=object()),
        FakeModel(preprocessing=FakeLayer({"crop": 4}, normalize=True)),
    ],
)
def test_models_without_a_preset_are_refused(model):
    with pytest.raises(ValueError, match=r"no layer named .preprocessing. that holds a preset"):
        preprocess_input(np.zeros((4, 4, 3)), model)


# Imports


def test_imports_stay_light():
    script = """
from keras_effnets.images import preset
assert "PIL" not in sys.modules
from keras_effnets.images import class_names, contact_sheet, preprocessing
print(sorted({"keras", "tensorflow", "torch"} & set(sys.modules)))
"""
    assert run(script).strip() == "[]"


def test_no_pillow_setting_is_changed():
    settings = (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
    read_rgb(encoded(noise(8, 8)))
    assert settings == (Image.MAX_IMAGE_PIXELS, list(warnings.filters))
