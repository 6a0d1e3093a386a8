"""Grad-CAM: where in an image a network sees a class.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", 2016, arXiv 1610.02391, section 3: each map of the last convolution is weighted by
the mean of its gradient, taken of the class's score before the softmax, and only the positive part
of the sum is kept. Where the paper leaves a choice, the heat is resized to the image bilinearly and
divided by its maximum.

Written by hand: the packages for it are tied to TensorFlow's or PyTorch's own models, and this is
one gradient that has to work on three backends.
"""

from __future__ import annotations

import operator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_effnets.analysis.seeing.gradient import gradient
from keras_effnets.analysis.seeing.maps import ImageSource, map_layer, pixels_for
from keras_effnets.images.preprocessing import preprocess_input
from keras_effnets.layers import ConvClassifier
from keras_effnets.models.surgery.anatomy import dissect


def grad_cam(
    model: keras.Model, image: ImageSource, class_: int | None = None, layer: str | None = None
) -> NDArray[np.float32]:
    """Computes where in an image a network sees a class.

    For several images or classes, use `GradCAM`: it analyses the network once.

    Args:
        model: A network of keras_effnets with a classifier.
        image: A file or its bytes, prepared by the model's preset; or pixels, used as they are.
        class_: Index of the class; None takes the most likely one.
        layer: Layer whose maps to weight; None takes the last layer of the body with weights.

    Returns:
        (H, W), from 0 to 1, for the image as the model sees it (`load_image` returns that crop):
        1 at the place that supports the class most. All 0 if no place supports it.

    Raises:
        OSError: The file can't be opened.
        ValueError: The class or the layer does not exist, the image can't be read or does not
            fit, the model was not built here or has no classifier, or the backend has no
            gradients.
    """
    return GradCAM(model, layer)(image, class_)


class GradCAM:
    """Grad-CAM for many images and classes of one network.

    Args:
        model: A network of keras_effnets with a classifier. Its layers are shared.
        layer: Layer whose maps to weight; None takes the last layer of the body with weights.

    Raises:
        ValueError: The layer does not exist, or the model was not built here or has no classifier.
    """

    def __init__(self, model: keras.Model, layer: str | None = None) -> None:
        anatomy = dissect(model)
        if anatomy.classifier is None:
            raise ValueError(f"model={model.name!r} has no classifier, so it has no classes to see")
        self.model = model
        self.layer = map_layer(anatomy, layer)
        self._head = anatomy.classifier
        maps, features = model.get_layer(self.layer).output, self._head.input
        self._to_maps = keras.Model(model.input, maps)
        self._to_features = None if maps is features else keras.Model(maps, features)

    def __call__(self, image: ImageSource, class_: int | None = None) -> NDArray[np.float32]:
        """Returns the heat, (H, W) from 0 to 1, see `grad_cam`."""
        pixels = pixels_for(self.model, image)
        heat = self.coarse(pixels, class_)
        height, width = pixels.shape[:2]
        resized = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)
        heat = np.asarray(resized)
        most = heat.max()
        return heat / most if most > 0 else heat

    def coarse(self, pixels: NDArray[np.float32], class_: int | None = None) -> NDArray[np.float32]:
        """Returns the heat before it is resized.

        Args:
            pixels: (H, W, 3), 0-255, of a size that the model takes.
            class_: Index of the class; None takes the most likely one.

        Returns:
            (h, w), the size of the layer's maps: 0 or more, without a unit.
        """
        index = self._checked(class_)
        maps = self._to_maps(preprocess_input(pixels, self.model)[None], training=False)

        def score(x: Any) -> Any:
            logits = self._logits(x)[0]
            return keras.ops.max(logits) if index is None else logits[index]

        slopes = _numpy(gradient(score, maps))
        return np.maximum(_numpy(maps) @ slopes.mean((0, 1)), 0)

    def _logits(self, maps: Any) -> Any:
        """The classifier's output before its activation, (B, classes)."""
        x = maps if self._to_features is None else self._to_features(maps, training=False)
        x = keras.ops.cast(x, self._head.compute_dtype)
        if isinstance(self._head, ConvClassifier):
            return keras.ops.mean(self._head.conv(x), axis=(1, 2))
        return keras.ops.matmul(x, self._head.dense.kernel) + self._head.dense.bias

    def _checked(self, class_: int | None) -> int | None:
        if class_ is None:
            return None
        try:
            index = operator.index(class_)
        except TypeError:
            index = -1
        if not 0 <= index < self._head.classes:
            raise ValueError(
                f"class_={class_!r}: expected an integer from 0 to {self._head.classes - 1}"
            )
        return index


def _numpy(tensor: Any) -> NDArray[np.float32]:
    """Maps of the only image of a batch, (H, W, C)."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)[0]
