"""GoogLeNet and the paper's Inception v1 against the sheet, and on small images."""

import keras
import numpy as np
import pytest
import structure
from shrinking import narrow as narrow_tables

import keras_effnets
from keras_effnets.analysis.multiply_adds import multiply_adds
from keras_effnets.layers import Inception
from keras_effnets.models import googlenet
from keras_effnets.plan.deferred import count_parameters, outline, sketch

# Trainable parameters, with the auxiliary classifiers too, and millions of multiply-adds.
SHEET = {
    "googlenet": (6_624_904, 13_004_888, 1498),
    "inception_v1": (6_998_552, 13_378_280, 1583),
}
SIDE = {"GoogLeNet": 33, "InceptionV1": 35}


def build(name, **options):
    side = SIDE[name]
    options = {"classes": 4, "input_shape": (side, side, 3), "weights": None, **options}
    return getattr(keras_effnets, name)(**options)


@pytest.mark.parametrize("name", SHEET)
def test_counts_are_the_sheets(name):
    parameters, with_heads, megas = SHEET[name]
    structure.assert_sheet(name, parameters, megas)
    found = outline(lambda: keras_effnets.create_model(name, weights=None, aux_heads=True))
    assert count_parameters(found) == with_heads


@pytest.fixture
def narrow():
    """The networks with an eighth of the channels in every block."""
    with narrow_tables():
        yield


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("name", SIDE)
def test_structure(name, tmp_path):
    structure.assert_shape(build(name), classes=4)
    structure.assert_saves(build(name), tmp_path)
    structure.assert_frozen_stays(build(name))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("name", [pytest.param("GoogLeNet", marks=pytest.mark.full), "InceptionV1"])
def test_it_learns(name):
    structure.assert_trains(build(name, dropout=0.0))


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("name", SIDE)
def test_open_sides(name):
    structure.assert_open_sides(lambda **options: build(name, **options), side=SIDE[name])


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize(("name", "smallest"), [("GoogLeNet", 15), ("InceptionV1", 31)])
def test_the_smallest_picture(name, smallest):
    model = build(name, input_shape=(smallest, smallest, 3))
    structure.assert_shape(model, classes=4)
    with pytest.raises(ValueError, match=f"height and width must be {smallest} or more"):
        build(name, input_shape=(smallest - 1, smallest, 3))


def with_heads(**options):
    return build("GoogLeNet", aux_heads=True, **options)


@pytest.mark.usefixtures("narrow")
def test_auxiliary_classifiers_are_outputs_of_their_own():
    model = with_heads()
    x = structure.pictures(model)
    scores = model(x, training=False)
    assert (
        set(scores) == set(keras_effnets.GOOGLENET_LOSS_WEIGHTS) == {"classifier", "aux1", "aux2"}
    )
    for name, values in scores.items():
        assert values.shape == (4, 4), name
        np.testing.assert_allclose(np.sum(values, -1), 1, rtol=1e-5)
    assert len({np.asarray(values).tobytes() for values in scores.values()}) == 3
    plain = build("GoogLeNet")
    by_path = {weight.path: weight for weight in model.weights}
    for weight in plain.weights:
        weight.assign(by_path[weight.path])
    np.testing.assert_array_equal(plain(x, training=False), scores["classifier"])


@pytest.mark.usefixtures("narrow")
def test_training_weighs_the_auxiliary_losses_by_three_tenths(tmp_path):
    model = with_heads(aux_dropout=0.0, dropout=0.0)
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras")
    weights = keras_effnets.GOOGLENET_LOSS_WEIGHTS
    losses = dict.fromkeys(weights, "sparse_categorical_crossentropy")
    model.compile("sgd", losses, loss_weights=weights, run_eagerly=True)
    x = structure.pictures(model, batch=2)
    y = np.array([0, 3])
    found = model.evaluate(x, dict.fromkeys(weights, y), verbose=0, return_dict=True)
    scores = model(x, training=False)
    loss = keras.losses.SparseCategoricalCrossentropy()
    each = {name: float(loss(y, values)) for name, values in scores.items()}
    assert len(set(each.values())) == 3
    expected = each["classifier"] + 0.3 * each["aux1"] + 0.3 * each["aux2"]
    assert found["loss"] == pytest.approx(expected, rel=1e-4)
    model.train_on_batch(x, dict.fromkeys(weights, y))


def test_features_have_no_auxiliary_classifiers():
    model = with_heads(include_top=False, pooling="avg")
    assert model.output_shape == (None, 1024)
    assert not [layer for layer in model.layers if layer.name.startswith("aux")]


def test_the_papers_auxiliary_windows():
    model = build("InceptionV1", aux_heads=True, input_shape=(79, 79, 3))
    assert model.get_layer("aux1").pool(np.zeros((1, 14, 14, 1))).shape == (1, 4, 4, 1)
    assert model.get_layer("aux1").hidden.dense.kernel.shape == (128, 1024)


def test_one_by_one_reductions_pay():
    """The paper's reason for them, section 4."""

    def cost(filters, channels):
        def block():
            inputs = keras.Input((28, 28, channels))
            return keras.Model(inputs, Inception(filters)(inputs))

        return multiply_adds(sketch(block))

    rows = {row.name: row.filters for row in googlenet.TABLE}
    one, _, three, _, five, _ = rows["inception3b"]
    naive = (one, 0, three, 0, five, 0)
    assert cost(naive, 256) == 28**2 * 256 * (one + 9 * three + 25 * five)
    assert cost(naive, 256) > 2.5 * cost(rows["inception3b"], 256)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"aux_dropout": 1.0}, "aux_dropout=1.0 is not a number in"),
        ({"dropout": -0.1}, "dropout=-0.1 is not a number in"),
        ({"aux_heads": True, "input_shape": (78, 78, 3)}, "79 or more"),
        ({"aux_heads": True, "input_shape": (None, None, 3)}, "79 or more"),
    ],
)
def test_bad_options_name_the_rule(options, message):
    with pytest.raises(ValueError, match=message):
        keras_effnets.InceptionV1(weights=None, **options)


@pytest.mark.parametrize(
    "filters", [(1, 2, 3), (0, 1, 1, 1, 1, 1), (1, -1, 1, 1, 1, 1), (1, 1, 0, 1, 1, 1)]
)
def test_bad_filters_name_the_rule(filters):
    with pytest.raises(ValueError, match="are not six numbers"):
        Inception(filters)
