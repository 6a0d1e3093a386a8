import gc
import subprocess
import sys
import threading

import keras
import numpy as np
import photographs
import pytest
import tensorflow as tf
from PIL import Image

from keras_effnets.data import AUGMENTATIONS, Pictures, batches, batching
from keras_effnets.images.preprocessing import load_image
from keras_effnets.images.preset import Preset

SMALL = Preset(crop=24, resize=28)


def drained(pictures, preset=SMALL, **options):
    options = {"batch_size": 8, **options}
    return [(x.numpy(), y.numpy()) for x, y in batches(pictures, preset, **options)]


def joined(found):
    return [np.concatenate(arrays) for arrays in zip(*found, strict=True)]


def of(*paths):
    return Pictures(tuple(map(str, paths)), np.zeros(len(paths)), ("a",))


def test_batches_in_order(twenty):
    found = drained(twenty)
    assert [x.shape for x, _ in found] == [(8, 24, 24, 3), (8, 24, 24, 3), (4, 24, 24, 3)]
    pixels, targets = joined(found)
    assert pixels.dtype == targets.dtype == np.float32
    assert np.array_equal(pixels, [load_image(path, SMALL) for path in twenty.paths])
    assert np.array_equal(targets, np.eye(2)[twenty.targets])
    spec = batches(twenty, SMALL, batch_size=8).element_spec
    assert [part.shape.as_list() for part in spec] == [[None, 24, 24, 3], [None, 2]]


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_photographs_are_as_load_image_has_them(interpolation):
    paths = photographs.paths()
    preset = Preset(crop=96, resize=110, interpolation=interpolation)
    pixels, _ = joined(drained(of(*paths), preset))
    assert np.array_equal(pixels, [load_image(path, preset) for path in paths])


def odd_pictures(folder):
    """Images that TensorFlow's own decoders refuse, rotate or blend differently."""
    values = np.random.default_rng(0).integers(0, 256, (60, 80, 4), np.uint8)
    rgb, rgba = Image.fromarray(values[..., :3]), Image.fromarray(values, "RGBA")
    turned = Image.Exif()
    turned[0x0112] = 6
    yield rgb.convert("CMYK"), folder / "cmyk.jpg", {}
    yield rgb, folder / "turned.jpg", {"exif": turned}
    yield rgb, folder / "picture.webp", {}
    yield rgb, folder / "picture.tiff", {}
    yield rgba, folder / "transparent.png", {}
    yield rgb.convert("P"), folder / "palette.gif", {}
    yield rgb.convert("L"), folder / "grey.jpg", {}
    yield Image.fromarray(values[..., 0].astype(np.uint16) * 257), folder / "deep.png", {}
    yield rgb.resize((1, 1)), folder / "dot.png", {}
    yield rgb.resize((7, 90)), folder / "narrow.jpg", {}


def test_odd_pictures_too(tmp_path):
    paths = []
    for image, path, options in odd_pictures(tmp_path):
        image.save(path, **options)
        paths.append(path)
    # The crop is larger than the resized picture: it has a black border.
    preset = Preset(crop=48, resize=40, interpolation="bicubic")
    pixels, _ = joined(drained(of(*paths), preset))
    assert np.array_equal(pixels, [load_image(path, preset) for path in paths])
    cropped, _ = joined(drained(of(*paths), preset, training=True, augment=["crop"]))
    assert cropped.shape == (len(paths), 48, 48, 3)


@pytest.mark.parametrize("augment", [(), ("flip", "crop"), AUGMENTATIONS])
def test_an_epoch_comes_again_bit_for_bit(twenty, augment):
    options = {"training": True, "augment": augment, "seed": 3, "epoch": 2}
    first = joined(drained(twenty, workers=1, **options))
    again = joined(drained(twenty, workers=4, **options))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)
    for change in ({"seed": 4}, {"epoch": 3}):
        pixels, _ = joined(drained(twenty, **{**options, **change}))
        assert not np.array_equal(pixels, first[0])
    assert first[0].shape == (20, 24, 24, 3)
    assert 0 <= first[0].min() <= first[0].max() <= 255
    np.testing.assert_allclose(first[1].sum(axis=1), 1, rtol=1e-6)


def test_training_shuffles_all_pictures(twenty):
    plain = joined(drained(twenty))[0]
    orders = []
    for epoch in range(2):
        pixels, targets = joined(drained(twenty, training=True, epoch=epoch))
        order = [int(np.flatnonzero((plain == one).all(axis=(1, 2, 3)))[0]) for one in pixels]
        assert sorted(order) == list(range(20))
        assert np.array_equal(targets, np.eye(2)[twenty.targets[order]])
        orders.append(order)
    assert orders[0] != orders[1]
    assert list(range(20)) not in orders


def test_nothing_is_augmented_or_shuffled_but_for_training(twenty):
    pixels, _ = joined(drained(twenty, augment=AUGMENTATIONS, seed=1, epoch=1))
    assert np.array_equal(pixels, joined(drained(twenty))[0])


def test_flipping_mirrors_half(twenty):
    plain = joined(drained(twenty))[0]
    mirrored = 0
    for one in joined(drained(twenty, training=True, augment=["flip"]))[0]:
        same = (plain == one).all(axis=(1, 2, 3)).any()
        turned = (plain[:, :, ::-1] == one).all(axis=(1, 2, 3)).any()
        assert same != turned
        mirrored += turned
    assert 4 <= mirrored <= 16


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_picture_that_breaks_in_the_run_is_named(twenty, tmp_path, damage):
    path = tmp_path / "11.png"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-400])
    else:
        path.unlink()
    with pytest.raises(tf.errors.OpError, match=r"11\.png"):
        drained(twenty, training=True)


def test_names_are_held_once(twenty):
    before = {id(name) for name in twenty.paths}
    dataset = batches(twenty, SMALL, batch_size=8, training=True)
    iterator = iter(dataset)
    next(iterator)
    constants = [
        operand
        for operand in gc.get_objects()
        # Not `isinstance`, which asks each object for its class: some of torch's warn then.
        if issubclass(type(operand), tf.Tensor)
        and operand.dtype == tf.string
        and len(operand.shape) == 1
    ]
    assert all(operand.shape[0] != 20 for operand in constants)
    copies = [
        item
        for item in gc.get_objects()
        if issubclass(type(item), list | tuple) and len(item) == 20 and twenty.paths[0] in item
    ]
    assert {id(name) for item in copies for name in item} <= before


def test_pictures_are_decoded_side_by_side(twenty, monkeypatch):
    both = threading.Barrier(2, timeout=60)
    # On one core TensorFlow decodes one at a time.
    monkeypatch.setattr(batching, "_pixels", lambda *_: both.wait() * np.zeros((24, 24, 3), "f"))
    if tf.config.threading.get_inter_op_parallelism_threads() == 1:
        pytest.skip("TensorFlow was told to use one thread")
    assert len(drained(twenty, workers=2)) == 3


def test_a_model_fits(twenty):
    model = keras.Sequential(
        [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax")]
    )
    model.compile("sgd", "categorical_crossentropy")
    dataset = batches(twenty, SMALL, batch_size=8, training=True, augment=["flip"])
    history = model.fit(dataset, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"][0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: expected an integer of 1 or more"),
        ({"batch_size": 2.5}, r"batch_size=2\.5: expected an integer"),
        ({"workers": 0}, "workers=0: expected"),
        ({"seed": -1}, "seed=-1: expected an integer of 0 or more"),
        ({"epoch": -1}, "epoch=-1: expected an integer of 0 or more"),
        ({"mixed": 1.5}, r"mixed=1\.5: expected a number from 0 to 1"),
        (
            {"augment": ["flop"], "training": True},
            "augment='flop': expected some of flip, crop",
        ),
    ],
)
def test_wrong_arguments(twenty, options, message):
    with pytest.raises(ValueError, match=message):
        batches(twenty, SMALL, **{"batch_size": 8, **options})


def test_no_pictures():
    with pytest.raises(ValueError, match="there are no images"):
        batches(Pictures((), np.array([]), ("a",)), SMALL, batch_size=8)


def test_importing_brings_no_datasets():
    code = "import sys, keras_effnets.data; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "keras_effnets.data.stanford_dogs" in run.stdout.split()
    assert not {"tensorflow_datasets", "scipy.io"} & set(run.stdout.split())
