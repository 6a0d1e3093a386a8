"""Receptive fields: published figures, and the effect of changing a pixel."""

from fractions import Fraction

import keras
import numpy as np
import pytest

import keras_effnets
from keras_effnets.analysis.summary.receptive_field import image_field
from keras_effnets.plan.deferred import sketch

L = keras.layers
APPLICATIONS = keras.applications

KNOWN = {
    # Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural Networks, Distill
    # 2019: of the last map before pooling over the whole picture, or before the dense layers.
    "alexnet": (lambda: keras_effnets.AlexNet(weights=None), 195),
    "vgg16": (lambda: keras_effnets.VGG16(weights=None), 212),
    "mobilenet": (lambda: APPLICATIONS.MobileNet(weights=None), 315),
    "resnet50, stride on the 1x1": (lambda: APPLICATIONS.ResNet50(weights=None), 483),
    "resnet101, stride on the 1x1": (lambda: APPLICATIONS.ResNet101(weights=None), 1027),
    "inception_v3": (lambda: APPLICATIONS.InceptionV3(weights=None), 1311),
    "inception_resnet_v2": (lambda: APPLICATIONS.InceptionResNetV2(weights=None), 3039),
    # Where the 3x3 has the stride, each of three stages' first blocks sees half as much more:
    # 483 less 8 + 16 + 32.
    "resnet50": (lambda: keras_effnets.ResNet50(weights=None), 427),
}
SLOW = ("inception_resnet_v2", "resnet101, stride on the 1x1")


def last_map(summary: keras_effnets.Summary) -> tuple[int, ...]:
    """Receptive field of the last map."""
    fields = [row.receptive_field for row in summary.rows]
    return [f.sizes for f in fields if f and not f.whole and min(f.places) > 1][-1]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.full if name in SLOW else ()) for name in KNOWN],
)
def test_the_known_figures(name):
    build, size = KNOWN[name]
    assert last_map(keras_effnets.summary(sketch(build))) == (size, size)


def chain(*layers):
    return lambda: keras.Sequential([keras.Input((33, 47, 2)), *layers])


def branches():
    inputs = keras.Input((33, 47, 2))
    x = L.Conv2D(3, 3, strides=2, padding="same")(inputs)
    left = L.Conv2D(3, (1, 7), padding="same")(x)
    right = L.Conv2D(3, (5, 1), padding="same", dilation_rate=2)(x)
    x = L.Concatenate()([left, L.Add()([right, x])])
    return keras.Model(inputs, L.AveragePooling2D(2)(x))


def beside():
    inputs = keras.Input((33, 47, 2))
    before = L.Conv2D(2, 3)(L.ZeroPadding2D(((2, 0), (2, 0)))(inputs))
    after = L.Conv2D(2, 3)(L.ZeroPadding2D(((0, 2), (0, 2)))(inputs))
    return keras.Model(inputs, L.Add()([before, after]))


def ours():
    inputs = keras.Input((33, 47, 2))
    x = keras_effnets.layers.ConvNormAct(4, 3, strides=2)(inputs)
    x = keras_effnets.layers.InvertedResidual(4, kernel_size=5, strides=1)(x)
    x = keras_effnets.layers.MaxPool(3, strides=2, padding=1)(x)
    x = keras_effnets.layers.Inception((2, 2, 2, 2, 2, 2))(x)
    return keras.Model(inputs, keras_effnets.layers.PaddedShortcut(10, strides=2)(x))


BRUTE = {
    "valid": chain(L.Conv2D(2, 5, strides=2), L.MaxPooling2D(3, 2), L.Conv2D(2, 3)),
    "same": chain(L.Conv2D(2, 4, strides=3, padding="same"), L.Conv2D(2, 3, padding="same")),
    "padded": chain(
        L.ZeroPadding2D(((3, 1), (0, 2))), L.Conv2D(2, 3, 2), L.Cropping2D(((2, 0), (1, 3)))
    ),
    "separable": chain(L.SeparableConv2D(2, 3, 2), L.DepthwiseConv2D(3, dilation_rate=2)),
    "nearest": chain(L.Conv2D(2, 3, 2), L.UpSampling2D(3), L.Conv2D(2, 3), L.UpSampling2D(2)),
    "up, across and up": chain(L.Conv2D(2, 2, 2), L.UpSampling2D(2), L.Conv2D(2, 4)),
    "bilinear": chain(
        L.AveragePooling2D(2), L.UpSampling2D(2, interpolation="bilinear"), L.Conv2D(2, 3)
    ),
    "transposed": chain(L.Conv2D(2, 3, 2), L.Conv2DTranspose(2, 5, strides=2), L.Conv2D(2, 3)),
    "transposed, same": chain(L.Conv2DTranspose(2, 4, strides=2, padding="same"), L.Conv2D(2, 2)),
    "adaptive": chain(L.Conv2D(2, 3), L.AdaptiveAveragePooling2D((4, 7))),
    "branches": branches,
    "windows side by side": beside,
    "blocks of ours": ours,
}


def seen_by_changing(model: keras.Model) -> tuple[int, int]:
    """The most rows and columns from the first to the last that change one place of the map.

    All weights and pixels are positive and nothing saturates, so that whatever is connected
    changes the outputs: the sum of a window, or the greatest value of one.
    """
    for weight in model.weights:
        generator = np.random.default_rng(len(weight.shape))
        values = generator.uniform(0.1, 0.2, weight.shape) + ("variance" in weight.path)
        weight.assign(values * (not weight.path.endswith(("bias", "beta", "moving_mean"))))
    _, height, width, channels = model.input_shape
    rows, columns = (np.zeros((n, height, width, channels)) for n in (height, width))
    for row in range(height):
        rows[row, row] = 1
    for column in range(width):
        columns[column, :, column] = 1
    changed = (np.asarray(model(pictures.astype("float32"))) > 0 for pictures in (rows, columns))
    return tuple(
        max(int(np.ptp(np.flatnonzero(place))) + 1 for place in by_pixel if place.any())
        # (pixels, places) along either side, whatever happens on the other.
        for by_pixel in (each.any(axis=(2 - side, 3)).T for side, each in enumerate(changed))
    )


@pytest.mark.parametrize("kind", BRUTE)
def test_a_place_changes_with_the_pixels_of_its_field_and_no_others(kind):
    model = BRUTE[kind]()
    field = keras_effnets.summary(model).rows[-1].receptive_field
    assert field is not None
    assert not field.whole
    assert field.sizes == seen_by_changing(model)


def test_a_gate_sees_the_whole_picture_and_the_windows_are_kept():
    inputs = keras.Input((32, 32, 3))
    x = L.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, L.Conv2D(4, 3)(keras_effnets.layers.SqueezeExcite(2)(x)))
    last = keras_effnets.summary(model).rows[-1].receptive_field
    assert last is not None
    assert last.whole
    assert last.sizes == (5, 5)


def test_pooling_and_dense_layers_see_the_whole_picture():
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), L.Conv2D(4, 3), L.Flatten(), L.Dense(2, name="dense")]
    )
    *_, flat, dense = keras_effnets.summary(model).rows
    assert flat.receptive_field is not None
    assert (flat.receptive_field.whole, flat.receptive_field.sizes) == (False, (3, 3))
    assert dense.receptive_field is not None
    assert dense.receptive_field.whole


def test_what_has_no_picture_has_no_receptive_field():
    model = keras.Sequential([keras.Input((32,)), L.Dense(2)])
    assert keras_effnets.summary(model).rows[-1].receptive_field is None


def test_what_turns_a_picture_round_is_not_guessed():
    model = keras.Sequential([keras.Input((8, 8, 3)), L.Permute((3, 1, 2)), L.Conv2D(1, 3)])
    assert keras_effnets.summary(model).rows[-1].receptive_field is None


def test_windows_grow_by_the_jump():
    (axis,) = image_field([100]).axes
    found = axis.windowed(49, 3, stride=2).windowed(23, 5, stride=2)
    assert (found.size, found.jump, found.places) == (11, Fraction(4), 23)
    assert found.collapsed().size == 11 + 22 * 4
