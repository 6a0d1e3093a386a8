"""The table of counts, which spares `list` and `info` the building of every network.

To write it anew: `PYTHONPATH=tests python tests/models/test_counts.py`.
"""

from pathlib import Path

import pytest
from outlines import outlined
from torchvision_import import import_torchvision

import keras_effnets
from keras_effnets.analysis.costs import model_cost
from keras_effnets.models import registry
from keras_effnets.plan.deferred import count_parameters
from keras_effnets.weights.catalog import WEIGHTS

TABLE = Path(registry.__file__).with_name("model_counts.csv")
SLOW = ("preact_resnet1001_cifar",)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.full if name in SLOW else ())
        for name in keras_effnets.list_models()
    ],
)
def test_counts_are_those_of_the_network(name):
    info = keras_effnets.model_info(name)
    shapes, operations = outlined(name)
    assert (count_parameters(shapes), operations) == (info.parameters, info.multiply_adds)


@pytest.mark.parametrize("name", ["alexnet", "googlenet", "mobilenet_v3_small"])
def test_the_tables_own_counting_agrees(name):
    info = keras_effnets.model_info(name)
    assert model_cost(name)[:2] == (info.parameters, info.multiply_adds)


def test_the_table_has_every_network_and_no_other():
    lines = TABLE.read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == keras_effnets.list_models()


TORCHVISION = [
    (name, info.name)
    for name, sets in WEIGHTS.items()
    for info in sets
    if info.accuracy_source.startswith("torchvision")
]


def test_there_are_fifty_one_sets_of_torchvisions():
    assert len(TORCHVISION) == 51


@pytest.mark.parametrize(("name", "weights"), TORCHVISION)
def test_multiply_adds_are_those_that_torchvision_publishes(name, weights):
    models = import_torchvision().models
    published = models.get_model_weights(name)[weights].meta["_ops"]
    info = keras_effnets.model_info(name)
    assert info.weights[weights].preset.crop == info.side
    # In thousands of millions, to three decimals: half of the last one is more than half a
    # percent where there are fewer than 0.1 (MobileNetV3 Small: 0.05651 against 0.057).
    error = abs(info.multiply_adds / 1e9 - published)
    assert error <= max(0.005 * published, 0.0005)


if __name__ == "__main__":
    rows = ["model,parameters,multiply_adds"]
    for name in keras_effnets.list_models():
        rows.append(",".join(map(str, (name, *model_cost(name)[:2]))))
    TABLE.write_text("\n".join([*rows, ""]))
