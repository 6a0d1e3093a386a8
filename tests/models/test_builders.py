"""Networks of every family, shrunken, really built: what goes in, what comes out, what is kept."""

import inspect
import json
import subprocess
import sys
from dataclasses import replace
from itertools import count

import keras
import numpy as np
import pytest
import small_networks
import tensorflow as tf
from shrinking import shallow

import keras_effnets
from keras_effnets.models import efficientnet_lite, mobilenet_v2
from keras_effnets.models.builder import create
from keras_effnets.models.registry import get_builder
from keras_effnets.plan.deferred import variables_by_path
from keras_effnets.weights.catalog import WEIGHTS
from weights_tools.formats.our_format import write_weights_file

SIDE = 64
SMALL_LITE = replace(efficientnet_lite.VARIANTS[0], width=0.25, depth=0.1)


def small_efficientnet(**options):
    return keras_effnets.EfficientNet(width=0.25, depth=0.1, **options)


def small_lite(*, output_stride=32, drop_path=0.2, dropout=0.2, **options):
    config = replace(SMALL_LITE, output_stride=output_stride, drop_path=drop_path, dropout=dropout)
    return create(efficientnet_lite.build, config, {"weights": None, **options})


def small_mobilenet(**options):
    return keras_effnets.MobileNetV2(**{"alpha": 0.35, "weights": None, **options})


# Builder, the name that weights files give, the width of the features.
FAMILIES = {
    "efficientnet": (small_efficientnet, "efficientnet", 320),
    "lite": (small_lite, "efficientnet_lite0", 1280),
    "mobilenet_v2": (small_mobilenet, "mobilenet_v2_0.35", 1280),
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def build(family, *, alive=True, **options):
    """A small network; `alive` gives it weights with which outputs depend on the images."""
    options.setdefault("input_shape", (SIDE, SIDE, 3))
    if "input_tensor" in options:
        del options["input_shape"]
    model = FAMILIES[family][0](**options)
    if alive:
        small_networks.enliven(model)
    return model


def pictures(height=SIDE, width=None, channels=3, batch=2):
    """Images that differ: noise, and noise on a ramp, in turn."""
    shape = (batch, height, width or height, channels)
    noise = np.random.default_rng(1).uniform(0, 255, shape)
    noise[1::2] = noise[1::2] / 4 + 190 * np.linspace(0, 1, height)[:, None, None]
    return noise.astype("float32")


def assert_agree(found, expected, tolerance=1e-4):
    """By the house's measure: largest deviation over largest value."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance * np.abs(expected).max()


def run(model, x):
    """The model's answer: without a graph, which costs more to make than these nets to run."""
    return np.asarray(model(x, training=False))


def save_ours(model, family, path):
    weights = variables_by_path(model)
    preprocessing, stem = model.get_layer("preprocessing"), model.get_layer("stem")
    metadata = {
        "model": FAMILIES[family][1],
        "profile": "torch" if stem.padding == "symmetric" else "tensorflow",
        "preset": preprocessing.preset.to_dict(),
    }
    write_weights_file(
        path,
        {name: tuple(weight.shape) for name, weight in weights.items()},
        {name: weight.numpy for name, weight in weights.items()},
        metadata,
    )
    return path


@pytest.fixture(scope="module", params=FAMILIES)
def stored(request, tmp_path_factory):
    """A family, a living network of it, and its weights in each of the formats we read."""
    family = request.param
    folder = tmp_path_factory.mktemp(family)
    model = build(family)
    save_ours(model, family, folder / "ours.safetensors")
    model.save(folder / "keras.keras")
    model.save_weights(folder / "keras.weights.h5")
    return family, model, folder


@every_family
def test_test_networks_are_alive(family):
    one, other = run(build(family, classifier_activation=None), pictures())
    assert np.abs(one - other).max() > 1e-2 * np.abs(one).max()


@pytest.fixture(autouse=True, scope="module")
def few_blocks():
    """MobileNetV2 has no argument for that."""
    with shallow(mobilenet_v2):
        yield


@every_family
def test_layers_are_the_papers_blocks(family):
    names = [layer.name for layer in build(family, alive=False).layers]
    assert names[:3] == ["images", "preprocessing", "stem"]
    assert names[-3:] == ["top", "pool", "classifier"]
    assert all(name.startswith("stage") for name in names[3:-3])
    assert len(names) - 6 == 7


@every_family
@pytest.mark.parametrize("classes", [2, 7])
def test_probabilities_of_the_classes_asked_for(family, classes):
    y = run(build(family, classes=classes), pictures())
    assert y.shape == (2, classes)
    np.testing.assert_allclose(y.sum(axis=1), 1, rtol=1e-5)


def test_logits_are_what_softmax_is_taken_of(stored):
    family, model, folder = stored
    logits = build(
        family, alive=False, classifier_activation=None, weights=folder / "ours.safetensors"
    )
    expected = np.asarray(keras.ops.softmax(run(logits, pictures())))
    assert_agree(run(model, pictures()), expected)


def test_without_top_the_features_are_those_before_it(stored):
    family, model, folder = stored
    options = {"include_top": False, "weights": folder / "ours.safetensors", "alive": False}
    width = FAMILIES[family][2]
    x = pictures()
    features = run(build(family, **options), x)
    assert features.shape == (2, SIDE // 32, SIDE // 32, width)
    top = keras.Model(model.input, model.get_layer("top").output)
    np.testing.assert_array_equal(features, run(top, x))
    for pooling in ("avg", "max"):
        pooled = run(build(family, pooling=pooling, **options), x)
        expected = {"avg": features.mean(axis=(1, 2)), "max": features.max(axis=(1, 2))}[pooling]
        np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


@every_family
def test_without_top_the_sides_may_be_left_open(family):
    model = FAMILIES[family][0](include_top=False)
    assert model.input_shape == (None, None, None, 3)
    assert model.output_shape == (None, None, None, FAMILIES[family][2])


@every_family
def test_default_side_is_the_papers(family):
    assert FAMILIES[family][0]().input_shape == (None, 224, 224, 3)


def test_resolution_multiplies_the_side():
    model = small_efficientnet(resolution=0.5)
    assert model.input_shape == (None, 112, 112, 3)
    assert model.get_layer("preprocessing").preset.crop == 112


def test_open_sides_give_what_fixed_ones_give(stored):
    family, model, folder = stored
    weights = folder / "ours.safetensors"
    unbound = build(family, alive=False, input_shape=(None, None, 3), weights=weights)
    assert_agree(run(unbound, pictures()), run(model, pictures()))
    other = build(family, alive=False, input_shape=(47, 70, 3), weights=weights)
    x = pictures(47, 70)
    assert_agree(run(unbound, x), run(other, x))


@every_family
@pytest.mark.parametrize("profile", ["torch", "tensorflow"])
@pytest.mark.parametrize("side", [32, 33])
def test_smallest_side(family, profile, side):
    model = build(family, profile=profile, input_shape=(side, side, 3), include_top=False)
    features = run(model, pictures(side))
    assert features.shape[1:3] == (-(-side // 32),) * 2
    assert np.isfinite(features).all()


@every_family
def test_input_tensor_of_ones_own(family):
    images = keras.Input((SIDE, SIDE, 3), name="mine")
    model = build(family, alive=False, input_tensor=images)
    assert model.input is images
    assert run(model, pictures()).shape == (2, 1000)


def test_input_tensor_in_the_middle_of_a_graph(stored):
    family, model, folder = stored
    images = keras.Input((SIDE, SIDE, 3))
    flipped = keras.layers.Lambda(lambda x: x[:, :, ::-1], output_shape=(SIDE, SIDE, 3))(images)
    whole = build(family, alive=False, input_tensor=flipped, weights=folder / "ours.safetensors")
    assert whole.input is images
    x = pictures()
    assert_agree(run(whole, x), run(model, x[:, :, ::-1]), tolerance=1e-5)
    assert not np.allclose(run(whole, x), run(model, x))


def test_weights_leave_the_layers_before_the_input_tensor_alone(stored):
    family, _, folder = stored
    images = keras.Input((SIDE, SIDE, 3))
    mine = keras.layers.Conv2D(3, 1, name="mine")
    adapted = mine(images)
    before = mine.kernel.numpy().copy()
    build(family, alive=False, input_tensor=adapted, weights=folder / "ours.safetensors")
    np.testing.assert_array_equal(mine.kernel.numpy(), before)


def test_numpys_integers_are_integers():
    side, classes = np.int64(64), np.int32(3)
    model = keras_effnets.MobileNetV2(
        weights=None, alpha=np.float32(0.5), input_shape=(side, side, 3), classes=classes
    )
    assert model.output_shape == (None, 3)


def test_an_input_tensor_that_is_too_small_is_refused():
    with pytest.raises(ValueError, match=r"input_tensor=\(8, 8, 3\): .* must be 32 or more"):
        keras_effnets.MobileNetV2(weights=None, input_tensor=keras.Input((8, 8, 3)))


@every_family
def test_name_is_the_models_and_changes_no_path(family):
    model = build(family, alive=False, name="mine")
    assert model.name == "mine"
    assert list(variables_by_path(model)) == list(variables_by_path(build(family, alive=False)))


def test_own_name_finds_the_same_weights(stored):
    family, model, folder = stored
    named = build(family, alive=False, name="mine", weights=folder / "ours.safetensors")
    np.testing.assert_array_equal(run(named, pictures()), run(model, pictures()))


def test_two_models_on_one_input_can_be_nested(stored):
    family, model, folder = stored
    images = keras.Input((SIDE, SIDE, 3))
    other = build(family, alive=False, name="other", weights=folder / "ours.safetensors")
    both = keras.Model(images, keras.layers.Average()([model(images), other(images)]))
    assert_agree(run(both, pictures()), run(model, pictures()), tolerance=1e-5)
    assert len(both.weights) == 2 * len(model.weights)


def test_without_preprocessing_the_caller_normalises(stored):
    family, model, folder = stored
    bare = build(
        family, alive=False, include_preprocessing=False, weights=folder / "ours.safetensors"
    )
    layer = bare.get_layer("preprocessing")
    assert not layer.normalize
    assert layer.preset == model.get_layer("preprocessing").preset
    x = pictures()
    normalised = keras_effnets.preprocess_input(x, bare)
    assert_agree(run(bare, normalised), run(model, x))
    assert not np.allclose(run(bare, x), run(model, x), rtol=1e-2)


@every_family
@pytest.mark.parametrize(("profile", "padding"), [("torch", "symmetric"), ("tensorflow", "same")])
def test_profile_reaches_every_layer(family, profile, padding):
    model = build(family, alive=False, profile=profile)
    blocks = [layer for layer in model.layers if hasattr(layer, "padding")]
    assert len(blocks) == len(model.layers) - 4
    assert {block.padding for block in blocks} == {padding}
    torch_epsilon = 1e-5
    assert {block.epsilon for block in blocks} == {torch_epsilon if profile == "torch" else 1e-3}
    parts = [part for block in blocks for part in block.sublayers()]
    assert {p.padding for p in parts if hasattr(p, "padding") and p.name != "conv"} == {padding}


def test_weights_of_one_profile_differ_under_the_other(stored):
    family, model, _ = stored
    profile = "torch" if model.get_layer("stem").padding == "same" else "tensorflow"
    other = build(family, alive=False, profile=profile)
    other.set_weights(model.get_weights())
    assert not np.allclose(run(other, pictures()), run(model, pictures()), rtol=1e-3)


@every_family
@pytest.mark.parametrize("output_stride", [8, 16, 32])
def test_output_stride_sets_the_features_side(family, output_stride):
    options = {"include_top": False, "alive": False, "output_stride": output_stride}
    assert build(family, **options).output_shape[1:3] == (SIDE // output_stride,) * 2
    odd = build(family, input_shape=(65, 67, 3), **options)
    assert odd.output_shape[1:3] == (-(-65 // output_stride), -(-67 // output_stride))
    assert run(odd, pictures(65, 67)).shape[1:] == odd.output_shape[1:]


# The squeeze averages over another number of positions, so EfficientNet has no such equality.
@pytest.mark.parametrize("family", ["lite", "mobilenet_v2"])
@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize("side", [64, 63])
def test_dilated_features_subsampled_are_the_strided_ones(family, output_stride, side):
    options = {
        "include_top": False,
        "profile": "torch",
        "input_shape": (side, side, 3),
    }
    strided = build(family, **options)
    dilated = build(family, output_stride=output_stride, **options)
    dilated.set_weights(strided.get_weights())
    x = pictures(side)
    coarse, fine = run(strided, x), run(dilated, x)
    step = 32 // output_stride
    assert fine.shape[1] == -(-side // output_stride)
    scale = np.abs(coarse).max()
    assert scale > 1e-2
    assert np.abs(fine[:, ::step, ::step] - coarse).max() <= 1e-4 * scale
    shifted = fine[:, 1::step, ::step][:, : coarse.shape[1]]
    assert np.abs(shifted - coarse[:, : shifted.shape[1]]).max() > 1e-2 * scale


@pytest.mark.parametrize("file", ["ours.safetensors", "keras.keras", "keras.weights.h5"])
def test_weights_path_gives_the_same_outputs_to_the_last_bit(stored, file):
    family, model, folder = stored
    again = build(family, alive=False, weights=str(folder / file))
    np.testing.assert_array_equal(run(again, pictures()), run(model, pictures()))


def test_saved_model_reloads_to_the_last_bit(stored):
    _, model, folder = stored
    again = keras.saving.load_model(folder / "keras.keras")
    np.testing.assert_array_equal(run(again, pictures()), run(model, pictures()))
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())
    preset = model.get_layer("preprocessing").preset
    assert again.get_layer("preprocessing").preset == preset


@pytest.mark.parametrize("file", ["ours.safetensors", "keras.keras", "keras.weights.h5"])
def test_other_number_of_classes_starts_the_classifier_afresh(stored, file):
    family, model, folder = stored
    few = build(family, alive=False, classes=5, weights=folder / file)
    ours, theirs = variables_by_path(few), variables_by_path(model)
    for path, weight in ours.items():
        if path.startswith("classifier/"):
            assert weight.shape[-1] == 5
        else:
            np.testing.assert_array_equal(weight.numpy(), theirs[path].numpy(), err_msg=path)
    assert np.std(ours["classifier/dense/kernel"].numpy()) > 0


@every_family
def test_a_step_gives_every_variable_a_finite_gradient_that_is_not_zero(family):
    model = build(family, classes=4, dropout=0.0, drop_path=0.0)
    x, y = pictures(batch=8), np.arange(8) % 4
    with tf.GradientTape() as tape:
        scores = model(x, training=True)
        loss = keras.ops.mean(keras.losses.sparse_categorical_crossentropy(y, scores))
    gradients = tape.gradient(loss, [weight.value for weight in model.trainable_weights])
    for weight, gradient in zip(model.trainable_weights, gradients, strict=True):
        assert gradient is not None, weight.path
        assert np.isfinite(gradient.numpy()).all(), weight.path
        assert np.abs(gradient.numpy()).max() > 0, weight.path


@pytest.mark.parametrize(
    "family",
    [
        "efficientnet",
        pytest.param("lite", marks=pytest.mark.full),
        pytest.param("mobilenet_v2", marks=pytest.mark.full),
    ],
)
def test_fit_moves_every_weight(family):
    model = build(family, classes=4, dropout=0.0, drop_path=0.0)
    before = {path: w.numpy().copy() for path, w in variables_by_path(model).items()}
    # Betas of one are not moved by less than a float32's last bit.
    model.compile(keras.optimizers.SGD(2.0), "sparse_categorical_crossentropy", jit_compile=False)
    history = model.fit(pictures(batch=8), np.arange(8) % 4, batch_size=8, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    still = [p for p, w in variables_by_path(model).items() if np.array_equal(w.numpy(), before[p])]
    assert still == []


@pytest.mark.parametrize(
    "family",
    [
        "efficientnet",
        pytest.param("lite", marks=pytest.mark.full),
        pytest.param("mobilenet_v2", marks=pytest.mark.full),
    ],
)
def test_tracing_happens_once_for_a_signature(family, monkeypatch):
    model = build(family, alive=False)
    traces = count()
    stem = type(model.get_layer("stem"))
    call = stem.call

    def counted(self, inputs, training=None):
        if self.name == "stem":
            next(traces)
        return call(self, inputs)

    monkeypatch.setattr(stem, "call", counted)
    function = tf.function(model)
    for _ in range(3):
        function(pictures())
    assert function.experimental_get_tracing_count() == 1
    assert next(traces) == 1
    for _ in range(3):
        model.predict(pictures(batch=4), verbose=0)
    assert next(traces) == 3  # this count's own step, and one trace


STRATEGY = """
import sys
import keras, numpy as np, tensorflow as tf
import keras_effnets
cpu, = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
x = np.load(sys.argv[2])
with strategy.scope():
    model = keras_effnets.EfficientNet(
        width=0.25, depth=0.1, input_shape=(64, 64, 3), weights=sys.argv[1]
    )
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
np.save(sys.argv[3], model.predict(x, verbose=0))
before = [w.numpy().copy() for w in model.trainable_weights]
history = model.fit(x, np.arange(len(x)), batch_size=len(x), verbose=0)
assert np.isfinite(history.history["loss"]).all()
moved = sum(not np.array_equal(w.numpy(), b) for w, b in zip(model.trainable_weights, before))
assert moved > 0.9 * len(before), (moved, len(before))
"""


@pytest.mark.full
def test_works_in_the_scope_of_a_mirrored_strategy(tmp_path):
    model = build("efficientnet")
    weights = save_ours(model, "efficientnet", tmp_path / "ours.safetensors")
    x = pictures(batch=4)
    np.save(tmp_path / "x.npy", x)
    arguments = map(str, (weights, tmp_path / "x.npy", tmp_path / "y.npy"))
    result = subprocess.run(
        [sys.executable, "-c", STRATEGY, *arguments], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:]
    assert_agree(np.load(tmp_path / "y.npy"), run(model, x))


@pytest.fixture(scope="module")
def in_rgb():
    """Answers to the copies in RGB, by family and whether the network normalises."""
    return {}


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("include_preprocessing", [True, False])
def test_grey_picture_gives_what_its_rgb_copy_gives(
    stored, in_rgb, channels, include_preprocessing
):
    family, _, folder = stored
    options = {
        "weights": folder / "ours.safetensors",
        "include_preprocessing": include_preprocessing,
        "classifier_activation": None,
        "alive": False,
    }
    grey = pictures(channels=1) if include_preprocessing else pictures(channels=1) / 64 - 2
    key = family, include_preprocessing
    if key not in in_rgb:
        in_rgb[key] = run(build(family, **options), np.repeat(grey, 3, axis=-1))
    expected = in_rgb[key]
    other = build(family, input_shape=(SIDE, SIDE, channels), **options)
    assert other.input_shape[-1] == channels
    y = run(other, np.repeat(grey, channels, axis=-1))
    assert np.abs(y - expected).max() <= 1e-4 * np.abs(expected).max()
    one, two = expected
    assert np.abs(one - two).max() > 1e-2 * np.abs(expected).max()


@pytest.fixture(scope="module")
def lite0():
    return keras_effnets.EfficientNetLite0(classifier_activation=None)


def test_imagenet_is_the_default_where_it_is_published(lite0, effnets_home):
    named = keras_effnets.EfficientNetLite0(weights="imagenet", classifier_activation=None)
    x = pictures(224)
    np.testing.assert_array_equal(run(named, x), run(lite0, x))
    assert list((effnets_home / "converted").glob("efficientnet_lite0-*.safetensors"))
    layer = lite0.get_layer("preprocessing")
    (info,) = keras_effnets.model_info("efficientnet_lite0").weights.values()
    assert layer.preset == info.preset


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("include_preprocessing", [True, False])
def test_real_weights_see_a_grey_picture_as_its_rgb_copy(lite0, channels, include_preprocessing):
    pixels = pictures(224, channels=1, batch=1)
    other = keras_effnets.EfficientNetLite0(
        input_shape=(224, 224, channels),
        include_preprocessing=include_preprocessing,
        classifier_activation=None,
    )
    preset = lite0.get_layer("preprocessing").preset
    x = pixels if include_preprocessing else (pixels - preset.mean[0]) / preset.std[0]
    expected = run(lite0, np.repeat(pixels, 3, axis=-1))
    y = run(other, np.repeat(x, channels, axis=-1))
    assert np.abs(y - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("name", keras_effnets.list_models())
def test_default_weights_are_the_published_ones_or_none(name):
    parameters = inspect.signature(get_builder(name)).parameters
    assert parameters["weights"].default == ("imagenet" if name in WEIGHTS else None)
