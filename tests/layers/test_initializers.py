"""Random starts: the right variance, governed by Keras's seed, the same on every backend."""

import keras
import numpy as np
import pytest

import keras_effnets
from keras_effnets.layers.initializers import FanOutUniform


@pytest.mark.parametrize(
    ("shape", "fan_out"), [((3, 3, 16, 64), 9 * 64), ((5, 5, 400, 1), 25), ((1280, 100), 100)]
)
def test_the_variance_is_the_scale_over_the_fan_out(shape, fan_out):
    values = FanOutUniform(seed=1)(shape)
    assert values.dtype == np.float32
    assert abs(values.mean()) < 3 * np.sqrt(2 / fan_out / values.size)
    assert values.var() == pytest.approx(2 / fan_out, rel=0.05)
    assert np.abs(values).max() <= np.sqrt(6 / fan_out)


def test_keras_seed_governs_the_draws():
    def head():
        model = keras_effnets.MobileNetV2(weights=None, alpha=0.35, input_shape=(32, 32, 3))
        return model.get_layer("classifier").dense.kernel.numpy()

    keras.utils.set_random_seed(1)
    one = head()
    keras.utils.set_random_seed(1)
    same = head()
    np.testing.assert_array_equal(one, same)
    assert (head() != one).any()


def test_it_comes_back_from_its_config():
    again = FanOutUniform.from_config(FanOutUniform(1 / 3, seed=5).get_config())
    np.testing.assert_array_equal(again((4, 4)), FanOutUniform(1 / 3, seed=5)((4, 4)))
