import keras
import pytest

from keras_effnets.analysis.compare import Point, collect, pareto_front
from keras_effnets.analysis.compare.model_points import (
    AXES,
    _activations,
    _paper_accuracies,
    activations,
    memory,
)
from keras_effnets.analysis.costs import count_activations, model_cost
from keras_effnets.models.registry import list_models, model_info, resolve

QUICK = ("alexnet", "vgg11", "googlenet", "resnet18", "squeezenet1_1", "mobilenet_v3_small")


def point(name, macs, top1):
    costs = {"params": 1, "macs": macs, "memory": 1, "side": 1, "year": 2015}
    return Point(name=name, family="F", top1=top1, top5=None, source="", weights=None, **costs)


def test_a_point_is_what_the_registry_says():
    (found,) = collect(["resnet50"])
    info = model_info("resnet50")
    assert (found.params, found.macs, found.side) == (info.parameters, info.multiply_adds, 224)
    assert (found.family, found.year, found.weights) == ("ResNet", 2015, "IMAGENET1K_V2")
    assert (found.top1, found.source) == (80.858, "torchvision 0.28")
    assert found.value("macs") == pytest.approx(4089.184256)
    assert found.latency is None


def test_the_original_recipe_is_the_first_that_was_paper_accuracies():
    (found,) = collect(["resnet50"], recipe="original")
    assert (found.top1, found.weights) == (76.13, "IMAGENET1K_V1")
    with pytest.raises(ValueError, match=r"recipe='best' is not one of \('default', 'original'\)"):
        collect(["resnet50"], recipe="best")


def test_accuracies_are_of_pictures_of_the_side_that_the_costs_are_for():
    for recipe in ("default", "original"):
        for found in collect(list_models(), recipe=recipe):
            if found.weights is not None:
                assert model_info(found.name).weights[found.weights].preset.crop == found.side


def test_papers_speak_for_networks_whose_sets_state_no_accuracy():
    assert set(_paper_accuracies()) <= set(list_models())
    for name in _paper_accuracies():
        assert all(info.top1 is None for info in model_info(name).weights.values())
    (found,) = collect(["zfnet"])
    assert (found.top1, found.weights) == (61.6, None)
    assert found.source.startswith("the paper's table 2")


def test_every_accuracy_has_a_source():
    for found in collect(list_models()):
        assert (found.top1 is None) == (found.source == "")


def test_everything_is_known_of_every_network_without_building_any(monkeypatch):
    def build(*_, **__):
        raise AssertionError("a network was built")

    monkeypatch.setattr(keras.Model, "__init__", build)
    for found in collect(list_models()):
        for axis, meaning in AXES.items():
            if not meaning.measured and axis not in ("top1", "top5"):
                assert found.value(axis) > 0


def test_the_table_of_activations_has_every_network_and_no_other():
    assert list(_activations()) == list_models()
    with pytest.raises(ValueError, match="'resnet51' is not in the table"):
        activations("resnet51")


@pytest.mark.parametrize("name", QUICK)
def test_activations_are_those_of_the_network(name):
    assert activations(name) == model_cost(name).activations


@pytest.mark.full
@pytest.mark.parametrize("name", [name for name in list_models() if name not in QUICK])
def test_the_other_activations_are_those_of_the_network(name):
    assert activations(name) == model_cost(name).activations


def test_activations_are_outputs_of_layers_with_weights():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(5, 3, name="conv")(inputs)  # 6 × 6 × 5
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))  # 6 × 6 × 5, and nothing
    x = keras.layers.Dense(7)(keras.layers.Flatten()(x))  # nothing, and 7
    assert count_activations(keras.Model(inputs, x)) == 180 + 180 + 7
    assert memory("efficientnet_b0") == 4 * (5_288_548 + 13_485_732)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ([], list_models()),
        (["vgg16", "alexnet"], ["alexnet", "vgg16"]),
        (["mobilenetv3"], ["mobilenet_v3_large", "mobilenet_v3_small"]),
        (["*lite[01]", "efficientnet_lite0"], ["efficientnet_lite0", "efficientnet_lite1"]),
    ],
)
def test_names_families_and_patterns(wanted, names):
    assert resolve(wanted) == names


def test_a_models_name_goes_before_a_familys():
    assert resolve(["alexnet"]) == ["alexnet"]
    assert resolve(["AlexNet"]) == ["alexnet_2012", "alexnet"]


@pytest.mark.parametrize(
    ("wrong", "near"),
    [("resnet51", "resnet50"), ("EfficentNet", "EfficientNet"), ("mobilenet_2", "mobilenet_v2")],
)
def test_the_nearest_name_is_suggested(wrong, near):
    with pytest.raises(ValueError, match=rf"'{wrong}' is not a .* did you mean .*\b{near}\b"):
        resolve([wrong])


def test_where_nothing_is_near_the_list_is():
    with pytest.raises(ValueError, match=r"'capsule' is not a .* `keras-effnets list` shows"):
        resolve(["capsule"])


def test_the_front_is_what_nothing_beats():
    cheap, good, beaten, worse = (
        point("a", 1, 50), point("b", 4, 80), point("c", 4, 70), point("d", 9, 60),
    )  # fmt: skip
    assert pareto_front([worse, beaten, good, cheap], "macs", "top1") == [cheap, good]
    # Where less is better on both axes, and where a value lacks.
    assert pareto_front([worse, cheap, good], "macs", "year") == [cheap]
    assert pareto_front([point("e", 1, None), good], "macs", "top1") == [good]


def test_equals_share_the_front():
    twins = [point("a", 1, 50), point("b", 1, 50)]
    assert pareto_front(twins, "macs", "top1") == twins


def test_the_front_of_the_lineage_holds_against_every_network():
    points = [p for p in collect(list_models()) if p.top1 is not None]
    front = pareto_front(points, "macs", "top1")
    for p in points:
        beaten = any(
            q.macs <= p.macs and q.top1 >= p.top1 and (q.macs, q.top1) != (p.macs, p.top1)
            for q in points
        )
        assert beaten != (p in front)
    assert [p.macs for p in front] == sorted(p.macs for p in front)
