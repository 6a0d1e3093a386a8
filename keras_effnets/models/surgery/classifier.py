"""Other classes for the same body, and the body alone."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import keras

from keras_effnets.layers import Classifier, ConvClassifier
from keras_effnets.layers.chain import FanOutUniform
from keras_effnets.models.surgery.anatomy import dissect


def reset_classifier(
    model: keras.Model,
    classes: int,
    *,
    dropout: float | None = None,
    labels: Sequence[str] | None = None,
    activation: str | None = "softmax",
    seed: int | None = None,
) -> keras.Model:
    """A network with the same body and a new, untrained classifier.

    The body's layers are shared with `model`: what is frozen there is frozen here. The classifier
    is of the old one's kind. A network that was built without one gets a dense one, behind global
    average pooling if it ends in a map. GoogLeNet's auxiliary classifiers are left out: the new
    network has one output.

    Args:
        model: One of ours.
        classes: Number of outputs.
        dropout: Before the classifier, in [0, 1); None keeps the old rate, 0 where there was none.
        labels: The classes' names, which go with the model when it is saved.
        activation: Of the outputs; None gives logits.
        seed: Of the new weights; random where None.

    Returns:
        A functional model from the old one's pictures to (B, classes).

    Raises:
        ValueError: For an argument out of its range, or a model that is none of ours.
    """
    if isinstance(classes, bool) or not isinstance(classes, Integral) or classes < 1:
        raise ValueError(f"classes={classes!r} is not an integer of 1 or more")
    if dropout is not None and not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout!r} is not in [0, 1)")
    if isinstance(labels, str):
        raise ValueError(f"labels={labels!r} is one string, not one for each class")
    if labels is not None and len(labels) != classes:
        raise ValueError(f"labels={list(labels)!r} are {len(labels)}, for classes={classes}")
    old = dissect(model).classifier
    features = _features(model)
    if len(features.shape) == 4 and not isinstance(old, ConvClassifier):
        pool = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="pool")
        features = pool(features)
    if dropout is None:
        dropout = old.dropout_rate if old else 0.0
    new = (type(old) if old else Classifier)(
        int(classes),
        dropout_rate=float(dropout),
        activation=activation,
        labels=labels,
        name="classifier",
    )
    scores = new(features)
    if seed is not None:
        _seed(new, seed)
    return keras.Model(model.input, scores, name=model.name)


def body(model: keras.Model) -> keras.Model:
    """The network up to what its classifier gets: pooled features, or a map.

    A map comes before a classifier that makes maps of its own (Network In Network, SqueezeNet),
    features of hidden layers before that of AlexNet, ZFNet, VGG and MobileNetV3. The layers are
    shared with `model`.

    Args:
        model: One of ours; one without classifier is all body.

    Raises:
        ValueError: For a model that is none of ours.
    """
    features = _features(model)
    return keras.Model(model.input, features, name=f"{model.name}_body")


def _features(model: keras.Model) -> Any:
    """What the classifier gets, or would."""
    anatomy = dissect(model)
    if anatomy.classifier is not None:
        return anatomy.classifier.input
    if len(model.outputs) != 1 or isinstance(model.layers[-1], keras.layers.Dense):
        raise ValueError(
            f"model={model.name!r} ends neither in a classifier of ours nor in features: "
            f"outputs {model.output_names}"
        )
    return model.outputs[0]


def _seed(classifier: Any, seed: int) -> None:
    """Draws the classifier's kernel again, from a seed."""
    layer = classifier.conv if isinstance(classifier, ConvClassifier) else classifier.dense
    draw = FanOutUniform(layer.kernel_initializer.scale, seed=seed)
    layer.kernel.assign(draw(layer.kernel.shape, layer.kernel.dtype))
