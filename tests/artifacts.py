"""What the tests of exporters and of `Predictor` share."""

import keras
import numpy as np
import small_networks

import keras_effnets
from keras_effnets.layers import Classifier, Preprocessing

QUICK = ("mobilenet_v3", "resnext_cifar")
"""Hard activations with squeeze-excite, grouped convolutions; all families are in `full`."""
REST = [family for family in small_networks.FAMILIES if family not in QUICK]
LABELS = ("red", "green", "blue")


def living(family):
    """A network of a family that gives logits, which depend on the picture."""
    return small_networks.living(family, classifier_activation=None)


def tiny(side=16, *, normalize=True, activation="softmax", labels=LABELS):
    """Tells red, green and blue pictures apart, by a convolution with a batch norm."""
    keras.utils.set_random_seed(1)
    preset = keras_effnets.Preset(crop=16, resize=16)
    pixels = keras.Input((side, side, 3))
    x = Preprocessing(preset, normalize, name="preprocessing")(pixels)
    x = keras.layers.Conv2D(3, 1, use_bias=False, name="conv")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    x = Classifier(3, labels=labels, activation=activation, name="classifier")(x)
    model = keras.Model(pixels, x, name="tiny")
    model.get_layer("conv").kernel.assign(np.eye(3)[None, None])
    small_networks.enliven(model)
    model.get_layer("classifier").dense.kernel.assign(2 * np.eye(3))
    return model


def left_in(folder):
    """Names of all files in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())
