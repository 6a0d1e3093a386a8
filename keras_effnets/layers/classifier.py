"""The head that turns pooled features into classes."""

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from keras_effnets.layers.chain import Chain, Shape, register
from keras_effnets.layers.initializers import FanOutUniform
from keras_effnets.layers.preprocessing import full_precision


class _Head(Chain):
    """What the classifiers share: their arguments, full precision, the shape of what comes out.

    Stays in full precision under mixed precision. Dropout is off in a frozen classifier.

    Args:
        classes: Number of outputs.
        dropout_rate: Share of the features dropped while training, in [0, 1).
        activation: Of the outputs; None gives logits.
        labels: The classes' names, kept in the config so that a saved model knows them.

    Raises:
        ValueError: For classes below 1, a rate outside [0, 1), or a number of labels other than
            `classes`.
    """

    options: ClassVar[tuple[str, ...]] = ("classes", "dropout_rate", "activation", "labels")

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
            raise ValueError(f"Classifier: classes={classes!r} is below 1")
        if not 0 <= dropout_rate < 1:
            raise ValueError(f"Classifier: dropout_rate={dropout_rate!r} is not in [0, 1)")
        if labels is not None and len(labels) != classes:
            raise ValueError(f"Classifier: {len(labels)} labels for classes={classes}")
        self.classes = classes
        self.dropout_rate = dropout_rate
        self.activation = activation
        self.labels = None if labels is None else tuple(labels)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(B, ..., C) to (B, classes)."""
        return (input_shape[0], self.classes)


@register
class Classifier(_Head):
    """Dropout, a dense layer and its activation: (B, C) features to (B, classes).

    Arguments as for every head: `classes`, `dropout_rate`, `activation`, `labels`.
    """

    def assemble(self, channels: int) -> None:
        """Adds dropout and the dense layer."""
        # ±1 / sqrt(classes), as the papers' code starts a thousand of them, would make the logits
        # of a few huge: there it is ±1 / sqrt(channels).
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
class ConvClassifier(_Head):
    """Dropout, a 1×1 convolution with ReLU, global average: (B, H, W, C) to (B, classes).

    Network In Network, Lin et al., 2013, arXiv 1312.4400, section 3.2: each class has a map of its
    own. The activation follows the mean. Arguments as for `Classifier`.
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
