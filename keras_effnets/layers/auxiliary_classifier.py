"""The classifiers half-way through GoogLeNet."""

from typing import Any

import keras

from keras_effnets.layers.chain import register
from keras_effnets.layers.classifier import Classifier
from keras_effnets.layers.dense import DenseAct
from keras_effnets.layers.inception import add_unit
from keras_effnets.layers.pooling import AdaptiveAveragePool


@register
class AuxiliaryClassifier(Classifier):
    """A classifier on features half-way: (B, H, W, C) to (B, classes).

    Going Deeper with Convolutions, section 5: means over 4 × 4 windows, a 1×1 convolution to 128
    channels, a dense layer of 1024 units, both with ReLU, dropout, the classes. Further arguments
    as for `Classifier`.

    Args:
        classes: Number of outputs.
        adaptive: Whether the windows tile the picture whatever its side, as in torchvision;
            otherwise they are of 5 × 5 pixels at steps of 3, as in the paper.
        norm: Whether a batch norm follows the convolution, instead of a bias within.
        epsilon, momentum: As for `ConvNormAct`.
    """

    options = (*Classifier.options, "adaptive", "norm", "epsilon", "momentum")

    def __init__(
        self,
        classes: int,
        *,
        adaptive: bool = True,
        norm: bool = True,
        epsilon: float = 1e-3,
        momentum: float = 0.9,
        **kwargs: Any,
    ) -> None:
        super().__init__(classes, **kwargs)
        self.adaptive = adaptive
        self.norm = norm
        self.epsilon = epsilon
        self.momentum = momentum

    def assemble(self, channels: int) -> None:
        """Adds the pooling, the convolution, both dense layers."""
        if self.adaptive:
            self.add("pool", AdaptiveAveragePool, 4)
        else:
            self.add(
                "pool", keras.layers.AveragePooling2D, 5, strides=3, data_format="channels_last"
            )
        add_unit(self, "conv", 128)
        self.add("flatten", keras.layers.Flatten, data_format="channels_last")
        self.add("hidden", DenseAct, 1024)
        super().assemble(1024)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Scores of the classes."""
        features = self.hidden(self.flatten(self.conv(self.pool(inputs))))
        return super().call(features, training=training)
