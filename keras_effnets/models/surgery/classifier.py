"""A new classifier for a network's body, and the body alone."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_effnets.layers import Classifier, ConvClassifier
from keras_effnets.layers.chain import FanOutUniform
from keras_effnets.models.surgery.anatomy import dissect
from keras_effnets.plan.config import check_integer


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

    The body's layers are shared with `model`: layers frozen there are frozen here. The classifier
    is of the same kind as the old one. A network that was built without a classifier gets a dense
    one, after global average pooling if it ends in a map. GoogLeNet's auxiliary classifiers are
    left out: the new network has one output.

    Args:
        model: A network of this package.
        classes: Number of outputs.
        dropout: Dropout rate before the classifier, in [0, 1); None keeps the old rate, or 0
            without an old classifier.
        labels: The classes' names, which are saved with the model.
        activation: Activation of the outputs; None gives logits.
        seed: Seed of the new weights; None for random ones.

    Returns:
        A functional model from the old one's images to (B, classes).

    Raises:
        ValueError: An argument is out of range, or the model was not built by this package.
    """
    classes = check_integer("classes", classes)
    if dropout is not None and not 0 <= dropout < 1:
        raise ValueError(f"dropout={dropout!r} is not in [0, 1)")
    if isinstance(labels, str):
        raise ValueError(f"labels={labels!r} is one string; it must be one name per class")
    if labels is not None and len(labels) != classes:
        raise ValueError(f"labels={list(labels)!r} are {len(labels)} names for classes={classes}")
    old = dissect(model).classifier
    features = _features(model)
    if len(features.shape) == 4 and not isinstance(old, ConvClassifier):
        pool = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="pool")
        features = pool(features)
    if dropout is None:
        dropout = old.dropout_rate if old else 0.0
    new = (type(old) if old else Classifier)(
        classes,
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
    """Returns the network up to the input of its classifier: pooled features, or a map.

    It is a map if the classifier is a convolution (Network In Network, SqueezeNet), and hidden
    layers' features in AlexNet, ZFNet, VGG and MobileNetV3. The layers are shared with `model`.

    Args:
        model: A network of this package; without a classifier, all of it is body.

    Raises:
        ValueError: The model was not built by this package.
    """
    features = _features(model)
    return keras.Model(model.input, features, name=f"{model.name}_body")


def _features(model: keras.Model) -> Any:
    """Returns the input of the classifier, or the output of a model without one."""
    anatomy = dissect(model)
    if anatomy.classifier is not None:
        return anatomy.classifier.input
    if len(model.outputs) != 1 or isinstance(model.layers[-1], keras.layers.Dense):
        raise ValueError(
            f"model={model.name!r} ends neither in a classifier of this package nor in features: "
            f"outputs {model.output_names}"
        )
    return model.outputs[0]


def _seed(classifier: Any, seed: int) -> None:
    """Draws the classifier's kernel again from a seed."""
    layer = classifier.conv if isinstance(classifier, ConvClassifier) else classifier.dense
    draw = FanOutUniform(layer.kernel_initializer.scale, seed=seed)
    layer.kernel.assign(draw(layer.kernel.shape, layer.kernel.dtype))
