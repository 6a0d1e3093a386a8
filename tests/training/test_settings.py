import json

import pytest

from keras_effnets.training import Settings


def settings(**values):
    return Settings(data="pictures", model="efficientnet_lite0", **values)


def test_they_survive_json():
    given = settings(tune_augment=["flip"], dropout=0.5, tune_since="stage4")
    assert Settings(**json.loads(json.dumps(given.to_dict()))) == given
    assert given.to_dict()["tune_augment"] == ["flip"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 0}, r"batch_size=0: expected an integer of 1 or more"),
        ({"batch_size": 2.5}, r"batch_size=2.5: expected an integer of 1 or more"),
        ({"head_epochs": -1}, r"head_epochs=-1: expected an integer of 0 or more"),
        ({"head_epochs": 0, "tune_epochs": 0}, "expected at least one above 0"),
        ({"head_rate": float("nan")}, r"head_rate=nan"),
        ({"head_rate": -1e-3}, r"head_rate=-0.001: expected a number of 0 or more"),
        ({"validation": 1.0}, r"validation=1.0: expected a number of 0 or more and below 1"),
        ({"dropout": "much"}, r"dropout='much'"),
        ({"layer_decay": 0}, r"layer_decay=0: expected a number above 0 and at most 1"),
        ({"layer_decay": 1.5}, r"layer_decay=1.5: expected a number above 0 and at most 1"),
        ({"side": 0}, r"side=0"),
        ({"patience": True}, r"patience=True"),
        ({"precision": "float8"}, r"precision='float8': expected one of auto, float32"),
        ({"class_weights": "yes"}, r"class_weights='yes': expected one of none, balanced"),
    ],
)
def test_a_wrong_value_is_named(values, message):
    with pytest.raises(ValueError, match=message):
        settings(**values)
