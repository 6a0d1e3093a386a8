"""A network's inputs and outputs: the layers before and after its blocks."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import keras

from keras_effnets.images.preset import Preset
from keras_effnets.layers import (
    AdaptiveAveragePool,
    Classifier,
    ConvClassifier,
    DenseAct,
    Preprocessing,
)
from keras_effnets.plan.config import check_integer

ImageShape = tuple[int | None, int | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """The part of `CommonOptions` that shapes the network, validated."""

    include_top: bool = True
    input_tensor: Any = None
    input_shape: ImageShape | None = None
    pooling: str | None = None
    classes: int = 1000
    classifier_activation: str | None = "softmax"
    name: str | None = None
    include_preprocessing: bool = True

    def __post_init__(self) -> None:
        if self.pooling not in (None, "avg", "max"):
            raise ValueError(f"pooling={self.pooling!r} is not one of None, 'avg', 'max'")
        object.__setattr__(self, "classes", check_integer("classes", self.classes))

    def pixels(self, preset: Preset, min_side: int) -> Any:
        """Returns the network's input tensor (B, H, W, C)."""
        tensor = self.input_tensor
        if tensor is None:
            side = preset.crop if self.include_top else None
            shape = (side, side, 3) if self.input_shape is None else self.input_shape
            return keras.Input(_checked("input_shape", shape, min_side), name="images")
        _checked("the shape of input_tensor", tuple(tensor.shape)[1:], min_side)
        if keras.utils.is_keras_tensor(tensor):
            return tensor
        return keras.Input(tensor=tensor, name="images")

    def preprocess(self, pixels: Any, preset: Preset) -> Any:
        """Applies the `Preprocessing` layer, the first of every model."""
        height, width = pixels.shape[1:3]
        if height is not None and height == width:
            preset = preset.at(height)
        layer = Preprocessing(preset, normalize=self.include_preprocessing, name="preprocessing")
        return layer(pixels)

    def finish(self, pixels: Any, features: Any, *, name: str, dropout: float) -> keras.Model:
        """Returns the model that ends in (B, H, W, C) features.

        The top is global average pooling, dropout and one dense layer.
        """
        outputs = features
        if self.include_top or self.pooling == "avg":
            outputs = keras.layers.GlobalAveragePooling2D(data_format="channels_last", name="pool")(
                outputs
            )
        elif self.pooling == "max":
            outputs = keras.layers.GlobalMaxPooling2D(data_format="channels_last", name="pool")(
                outputs
            )
        if self.include_top:
            outputs = self.classify(outputs, dropout=dropout)
        return self.close(pixels, outputs, name=name)

    def finish_hidden(
        self,
        pixels: Any,
        features: Any,
        *,
        name: str,
        side: int,
        hidden: int,
        dropout: Sequence[float],
    ) -> keras.Model:
        """Returns the model of a network with hidden dense layers.

        The top averages the features to `side` × `side`; then come `fc6` and `fc7` of `hidden`
        units each and the classifier, each of the three after dropout at its own rate.
        """
        if not self.include_top:
            return self.finish(pixels, features, name=name, dropout=0.0)
        x = AdaptiveAveragePool(side, name="pool")(features)
        x = keras.layers.Flatten(data_format="channels_last", name="flatten")(x)
        x = DenseAct(hidden, dropout_rate=dropout[0], name="fc6")(x)
        x = DenseAct(hidden, dropout_rate=dropout[1], name="fc7")(x)
        return self.close(pixels, self.classify(x, dropout=dropout[2]), name=name)

    def finish_maps(self, pixels: Any, features: Any, *, name: str, dropout: float) -> keras.Model:
        """Returns the model of a network whose top makes one map per class and averages it."""
        if not self.include_top:
            return self.finish(pixels, features, name=name, dropout=0.0)
        scores = self.classify(features, dropout=dropout, layer=ConvClassifier)
        return self.close(pixels, scores, name=name)

    def classify(self, features: Any, *, dropout: float, layer: type = Classifier) -> Any:
        """Applies the classifier, a `Classifier` or `ConvClassifier`: features to (B, classes)."""
        return layer(
            self.classes,
            dropout_rate=dropout,
            activation=self.classifier_activation,
            name="classifier",
        )(features)

    def close(self, pixels: Any, outputs: Any, *, name: str) -> keras.Model:
        """Returns the model from `pixels`, or from the inputs of `input_tensor`, to `outputs`."""
        inputs = pixels
        if self.input_tensor is not None and keras.utils.is_keras_tensor(self.input_tensor):
            (inputs,) = keras.utils.get_source_inputs(self.input_tensor)
        return keras.Model(inputs, outputs, name=self.name or name)


def _checked(what: str, shape: Any, min_side: int) -> ImageShape:
    """Returns (height, width, channels); raises ValueError if invalid or below `min_side`."""
    if (
        not isinstance(shape, tuple | list)
        or len(shape) != 3
        or not all(side is None or isinstance(side, Integral) for side in shape[:2])
        or not isinstance(shape[2], Integral)
        or shape[2] < 1
    ):
        raise ValueError(
            f"{what}={shape!r} is not (height, width, channels), integers; height and width may be "
            "None"
        )
    if any(side is not None and side < min_side for side in shape[:2]):
        raise ValueError(f"{what}={shape!r}: height and width must be {min_side} or more")
    height, width = (None if side is None else int(side) for side in shape[:2])
    return (height, width, int(shape[2]))
