"""Layers that turn features into classes."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_effnets.layers.chain import Chain, FanOutUniform, Shape, check_rate, register
from keras_effnets.layers.conv import add_unit
from keras_effnets.layers.pooling import AdaptiveAveragePool
from keras_effnets.layers.preprocessing import full_precision


@register
class DenseAct(Chain):
    """A hidden layer from before global pooling: dropout, dense with bias, activation.

    Maps (B, C) to (B, units). A frozen layer does not drop.

    Args:
        units: Number of outputs.
        dropout_rate: Share of the inputs dropped while training, in [0, 1).
        activation: Name of a Keras activation, ReLU by default.

    Raises:
        ValueError: For a rate outside [0, 1).
    """

    def __init__(
        self, units: int, *, dropout_rate: float = 0.0, activation: str = "relu", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_rate(self, "dropout_rate", dropout_rate)
        self.units = units
        self.dropout_rate = dropout_rate
        self.activation = activation

    def assemble(self, channels: int) -> None:
        """Adds dropout and the dense layer."""
        self.add("dropout", keras.layers.Dropout, self.dropout_rate)
        self.add(
            "dense",
            keras.layers.Dense,
            self.units,
            activation=self.activation,
            kernel_initializer=FanOutUniform(),
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """The activated outputs."""
        return self.dense(self.dropout(inputs, training=bool(training) and self.trainable))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, C) to (B, units)."""
        return (*input_shape[:-1], self.units)


class _BaseClassifier(Chain):
    """The arguments, full precision and output shape that all classifiers share.

    Stays in full precision under mixed precision. A frozen classifier does not drop.

    Args:
        classes: Number of outputs.
        dropout_rate: Share of the features dropped while training, in [0, 1).
        activation: Activation of the outputs; None gives logits.
        labels: Names of the classes, kept in the config so that a saved model knows them.

    Raises:
        ValueError: For classes below 1, a rate outside [0, 1), or a number of labels other than
            `classes`.
    """

    def __init__(
        self,
        classes: int,
        *,
        dropout_rate: float = 0.0,
        activation: str | None = "softmax",
        labels: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("dtype", full_precision())
        super().__init__(**kwargs)
        if classes < 1:
            raise ValueError(f"{type(self).__name__}: classes={classes!r} is below 1")
        check_rate(self, "dropout_rate", dropout_rate)
        if labels is not None and len(labels) != classes:
            raise ValueError(f"{type(self).__name__}: {len(labels)} labels for classes={classes}")
        self.classes = classes
        self.dropout_rate = dropout_rate
        self.activation = activation
        self.labels = None if labels is None else tuple(labels)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, ..., C) to (B, classes)."""
        return (input_shape[0], self.classes)


@register
class Classifier(_BaseClassifier):
    """Dropout, a dense layer and its activation: (B, C) features to (B, classes).

    Takes the arguments of every classifier: `classes`, `dropout_rate`, `activation`, `labels`.
    """

    def assemble(self, channels: int) -> None:
        """Adds dropout and the dense layer."""
        # The papers' code draws within ±1 / sqrt(classes), which suits a thousand classes. With a
        # few it would make huge logits, so the range is then ±1 / sqrt(channels).
        widest = max(channels, self.classes)
        self.add("dropout", keras.layers.Dropout, self.dropout_rate)
        self.add(
            "dense",
            keras.layers.Dense,
            self.classes,
            activation=self.activation,
            kernel_initializer=FanOutUniform(self.classes / (3 * widest)),
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Scores of the classes."""
        features = self.dropout(inputs, training=bool(training) and self.trainable)
        return self.dense(features)


@register
class ConvClassifier(_BaseClassifier):
    """Dropout, a 1×1 convolution with ReLU, global average: (B, H, W, C) to (B, classes).

    Network In Network, Lin et al., 2013, arXiv 1312.4400, section 3.2: each class has a feature
    map of its own. The activation follows the mean. Arguments as for `Classifier`.
    """

    def assemble(self, channels: int) -> None:
        """Adds dropout and the convolution."""
        self._activate = keras.activations.get(self.activation)
        self.add("dropout", keras.layers.Dropout, self.dropout_rate)
        self.add(
            "conv",
            keras.layers.Conv2D,
            self.classes,
            1,
            activation="relu",
            kernel_initializer=FanOutUniform(),
            data_format="channels_last",
        )

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Scores of the classes."""
        features = self.dropout(inputs, training=bool(training) and self.trainable)
        return self._activate(keras.ops.mean(self.conv(features), axis=(1, 2)))


@register
class AuxiliaryClassifier(Classifier):
    """A classifier halfway through GoogLeNet: (B, H, W, C) to (B, classes).

    Going Deeper with Convolutions, Szegedy et al., 2014, arXiv 1409.4842, section 5: means over
    4 × 4 windows, a 1×1 convolution to 128 channels, a dense layer of 1024 units, both with ReLU,
    dropout, the classes. Further arguments as for `Classifier`.

    Args:
        classes: Number of outputs.
        adaptive: Whether the windows tile an image of any size, as in torchvision; otherwise they
            are of 5 × 5 pixels at steps of 3, as in the paper.
        norm: Whether the convolution has a batch norm instead of a bias.
        epsilon, momentum: As for `ConvNormAct`.
    """

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
        """Adds the pooling, the convolution and both dense layers."""
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
