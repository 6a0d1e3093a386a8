import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_effnets.data.augmentation import (
    CROP_AREA,
    CROP_RATIO,
    check_augmentations,
    crop_box,
    mixing,
    rand_augment,
    random_crop,
)


def pixels(count, side=32):
    return np.random.default_rng(0).uniform(0, 255, (count, side, side, 3)).astype(np.float32)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (7, 900), (1, 1)])
def test_crop_boxes_lie_within_the_picture(size):
    random = np.random.default_rng(0)
    width, height = size
    for _ in range(200):
        left, top, right, bottom = crop_box(size, random)
        assert 0 <= left < right <= width + 1e-9
        assert 0 <= top < bottom <= height + 1e-9


def test_crop_boxes_have_the_area_and_ratio_that_is_said():
    random = np.random.default_rng(0)
    boxes = np.array([crop_box((600, 600), random) for _ in range(500)])
    wide, high = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    inside = (wide < 600) & (high < 600)
    area, ratio = (wide * high / 600**2)[inside], (wide / high)[inside]
    assert CROP_AREA[0] <= area.min() < 0.45 < 0.8 < area.max() <= CROP_AREA[1]
    assert CROP_RATIO[0] - 1e-9 <= ratio.min() < 0.85 < 1.2 < ratio.max() <= CROP_RATIO[1] + 1e-9


def test_a_random_crop_shows_its_part():
    gradient = np.zeros((100, 100, 3), np.uint8)
    gradient[..., 0] = np.arange(100)
    gradient[..., 1] = np.arange(100)[:, None]
    image = Image.fromarray(gradient)
    left, top, right, bottom = crop_box(image.size, np.random.default_rng(5))
    cropped = np.asarray(random_crop(image, 50, "bilinear", np.random.default_rng(5)), float)
    assert cropped.shape == (50, 50, 3)
    assert cropped[..., 0].mean() == pytest.approx((left + right) / 2 - 0.5, abs=1)
    assert cropped[..., 1].mean() == pytest.approx((top + bottom) / 2 - 0.5, abs=1)


def test_rand_augment_depends_on_its_seeds_alone():
    pictures = pixels(1)
    augment = rand_augment()
    found = [augment(pictures[0], np.array([7, index])).numpy() for index in range(40)]
    for index in (0, 39):
        assert np.array_equal(found[index], augment(pictures[0], np.array([7, index])))
    assert all(one.shape == (32, 32, 3) and 0 <= one.min() <= one.max() <= 255 for one in found)
    unlike = {one.tobytes() for one in found}
    assert len(unlike) > 30
    assert not np.array_equal(augment(pictures[0], np.array([8, 0])), found[0])


def mixed(name, root=(1, 0), share=1.0, count=6):
    names = (name,) if isinstance(name, str) else name
    before = pixels(count), np.eye(count, dtype=np.float32)
    after = mixing(names)(tf.constant(before[0]), tf.constant(before[1]), np.array(root), share)
    return before, tuple(part.numpy() for part in after)


def test_mixup_blends_pixels_and_targets_alike():
    (pictures, _), (after, targets) = mixed("mixup")
    expected = np.einsum("ij,jhwc->ihwc", targets, pictures)
    np.testing.assert_allclose(after, expected, atol=1e-3)
    assert (np.sort(targets, axis=1)[:, -2] > 1e-3).any()
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)


def test_cutmix_pastes_as_much_as_its_targets_say():
    (pictures, _), (after, targets) = mixed("cutmix")
    np.testing.assert_allclose(targets.sum(axis=1), 1, rtol=1e-6)
    # Every pixel is one of some picture at its place: count whose. Keras counts parts of pixels.
    owners = (after[:, None] == pictures[None]).all(axis=-1).mean(axis=(2, 3))
    np.testing.assert_allclose(owners, targets, atol=2 / 32 + 1e-6)
    assert (owners.max(axis=1) < 0.999).any()


def test_where_both_are_named_each_comes():
    both = ("mixup", "cutmix")
    kinds = set()
    for number in range(12):
        (pictures, _), (after, _) = mixed(both, (1, number))
        kinds.add(bool((after[:, None] == pictures[None]).all(axis=-1).any(axis=1).all()))
    assert kinds == {True, False}


def test_a_share_of_the_batches_is_mixed():
    (pictures, targets), (after, same) = mixed("mixup", share=0.0)
    assert np.array_equal(pictures, after)
    assert np.array_equal(targets, same)
    changed = [not np.array_equal(pictures, mixed("mixup", (1, n), 0.5)[1][0]) for n in range(24)]
    assert 5 <= sum(changed) <= 19


def test_a_batch_of_one_stays():
    (pictures, targets), (after, same) = mixed(("mixup", "cutmix"), count=1)
    np.testing.assert_allclose(after, pictures, rtol=1e-6)
    np.testing.assert_allclose(same, targets, rtol=1e-6)


def test_names_are_checked():
    assert check_augmentations(["flip", "crop", "flip"]) == ("flip", "crop")
    assert check_augmentations("mixup") == ("mixup",)
    known = "flip, crop, randaugment, mixup, cutmix"
    with pytest.raises(ValueError, match=f"augment='rotate': expected some of {known}"):
        check_augmentations(["flip", "rotate"])


JAX = """
import hashlib, sys
import numpy as np
from keras_effnets.data import AUGMENTATIONS, Pictures, batches
from keras_effnets.images.preset import Preset

paths = tuple(sys.argv[1:])
pictures = Pictures(paths, np.arange(len(paths)) % 2, ("a", "b"))
options = {"batch_size": 3, "training": True, "augment": AUGMENTATIONS}
for _ in range(2):
    digest = hashlib.sha256()
    for pixels, targets in batches(pictures, Preset(crop=24, resize=28), **options):
        digest.update(pixels.numpy().tobytes() + targets.numpy().tobytes())
    print(digest.hexdigest())
"""


@pytest.mark.full
def test_the_jax_backend_draws_the_same_again(twenty):
    pytest.importorskip("jax", reason="the other backends are in the test extra")
    run = subprocess.run(
        [sys.executable, "-c", JAX, *twenty.paths[:7]],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    first, again = run.stdout.split()
    assert first == again
