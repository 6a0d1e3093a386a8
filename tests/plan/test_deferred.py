"""Networks without values: shapes cost nothing, and a failure leaves Keras as it was."""

import keras
import numpy as np
import pytest

import keras_effnets
from keras_effnets.plan.deferred import build_from, count_parameters, outline


def tiny() -> keras.Model:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(2, name="dense")(inputs))


def test_an_outline_allocates_nothing(monkeypatch):
    def no_values(self, *args, **kwargs):
        raise AssertionError("a variable got a value")

    monkeypatch.setattr("keras.src.backend.Variable._initialize", no_values)
    assert outline(tiny) == {"dense/kernel": (4, 2), "dense/bias": (2,)}


def test_parameters_are_counted_without_moving_statistics():
    shapes = {"a/kernel": (2, 3), "a/norm/moving_mean": (3,), "a/norm/gamma": (3,)}
    assert count_parameters(shapes) == 9


def test_a_weight_starts_as_its_value_and_the_others_as_they_would():
    kernel = np.arange(8, dtype=np.float32).reshape(4, 2)
    model = build_from(tiny, lambda shapes: {"dense/kernel": lambda: kernel})
    np.testing.assert_array_equal(model.get_layer("dense").kernel.numpy(), kernel)
    np.testing.assert_array_equal(model.get_layer("dense").bias.numpy(), [0, 0])


def test_the_file_is_not_what_training_writes_to():
    mapped = np.arange(8, dtype=np.float32).reshape(4, 2)
    mapped.flags.writeable = False
    model = build_from(tiny, lambda shapes: {"dense/kernel": lambda: mapped})
    model.get_layer("dense").kernel.assign_add(np.ones((4, 2)))
    np.testing.assert_array_equal(mapped, np.arange(8).reshape(4, 2))


def test_a_failure_half_way_leaves_keras_usable():
    def unreadable():
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        build_from(tiny, lambda shapes: {"dense/kernel": unreadable})
    with pytest.raises(KeyError):
        build_from(tiny, lambda shapes: {"no such weight": unreadable})
    with keras.StatelessScope():
        model = tiny()
    assert model(np.ones((1, 4))).shape == (1, 2)


def test_paths_do_not_depend_on_where_the_model_was_built():
    class Holder(keras.layers.Layer):
        def build(self, input_shape):
            self.inner = keras_effnets.MobileNetV2(weights=None, alpha=0.35, include_top=False)

    holder = Holder(name="holder")
    holder.build(None)
    shapes = outline(lambda: keras_effnets.MobileNetV2(weights=None, alpha=0.35, include_top=False))
    from keras_effnets.plan.deferred import variables_by_path

    assert list(variables_by_path(holder.inner)) == list(shapes)
