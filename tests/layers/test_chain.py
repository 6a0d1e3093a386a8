"""Options read off the signatures; random kernels with the right variance and seed."""

import keras
import numpy as np
import pytest

import keras_effnets
from keras_effnets.layers.chain import ConfiguredLayer, FanOutUniform


class Base(ConfiguredLayer):
    def __init__(self, width, *, depth=1, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.depth = depth


class Derived(Base):
    def __init__(self, width, *, depth=2, rate=0.5, **kwargs):
        super().__init__(width, depth=depth, **kwargs)
        self.rate = rate


class Silent(Derived):
    """Adds no argument."""


class Fixed(Base):
    options = ("depth",)

    def __init__(self, **kwargs):
        super().__init__(3, **kwargs)


@pytest.mark.parametrize(
    ("layer", "arguments", "options"),
    [
        (Base, {"width": 4}, {"width": 4, "depth": 1}),
        (Derived, {"width": 4, "rate": 0.1}, {"width": 4, "depth": 2, "rate": 0.1}),
        (Silent, {"width": 4, "depth": 5}, {"width": 4, "depth": 5, "rate": 0.5}),
        (Fixed, {"depth": 6}, {"depth": 6}),
    ],
)
def test_config_holds_the_arguments_of_all_signatures(layer, arguments, options):
    config = layer(**arguments).get_config()
    assert layer.options == tuple(options)
    assert set(config) == {"name", "trainable", "dtype", *options}
    assert {name: config[name] for name in options} == options
    assert layer.from_config(config).get_config() == config


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
