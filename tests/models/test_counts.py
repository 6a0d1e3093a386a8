"""The table of counts, which spares `list` and `info` the building of every network.

To write it anew: `PYTHONPATH=tests python tests/models/test_counts.py`.
"""

from pathlib import Path

import pytest

import keras_effnets
from keras_effnets import registry

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
    assert registry.count(name) == (info.parameters, info.multiply_adds)


def test_the_table_has_every_network_and_no_other():
    lines = TABLE.read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == keras_effnets.list_models()


if __name__ == "__main__":
    rows = ["model,parameters,multiply_adds"]
    for name in keras_effnets.list_models():
        rows.append(",".join(map(str, (name, *registry.count(name)))))
    TABLE.write_text("\n".join([*rows, ""]))
