"""Grad-CAM: where in a picture a network sees a class.

Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", 2016, arXiv 1610.02391, section 3: each of the last convolution's maps weighs as
much as the mean of its gradient, the gradient being that of the class's score before the softmax;
of the sum of the maps only what speaks for the class is kept. Where the paper leaves it open, the
heat is stretched over the picture bilinearly, and divided by its largest value.
"""

from __future__ import annotations

import operator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_effnets.analysis.seeing.gradient import gradient
from keras_effnets.analysis.seeing.maps import Picture, map_layer, pixels_for
from keras_effnets.images.preprocessing import preprocess_input
from keras_effnets.layers import ConvClassifier
from keras_effnets.models.surgery.anatomy import dissect


def grad_cam(
    model: keras.Model, image: Picture, class_: int | None = None, layer: str | None = None
) -> NDArray[np.float32]:
    """Where in a picture a network sees a class.

    For several pictures or classes, `GradCAM` takes the network apart once.

    Args:
        model: One of ours, with a classifier.
        image: A file or its bytes, which the model's preset prepares; or pixels, taken as they are.
        class_: The index of the class; None takes the one that the model finds likeliest.
        layer: Whose maps to weigh; None takes the body's last with weights.

    Returns:
        (H, W) for the picture as the model sees it (`load_image` gives that crop): 1 where most
        speaks for the class, 0 where nothing does; all 0 where the maps nowhere speak for it.

    Raises:
        OSError: The file can't be opened.
        ValueError: For a class or layer that is not there, a picture that can't be read or does
            not fit, a model that is none of ours or has no classifier, or a backend without
            gradients.
    """
    return GradCAM(model, layer)(image, class_)


class GradCAM:
    """A network taken apart, for the heat of many pictures and classes.

    Args:
        model: One of ours, with a classifier. Its layers are shared.
        layer: Whose maps to weigh; None takes the body's last with weights.

    Raises:
        ValueError: As `grad_cam` does.
    """

    def __init__(self, model: keras.Model, layer: str | None = None) -> None:
        anatomy = dissect(model)
        if anatomy.classifier is None:
            raise ValueError(f"model={model.name!r} has no classifier, and so no classes to see")
        self.model = model
        self.layer = map_layer(anatomy, layer)
        self._head = anatomy.classifier
        maps, features = model.get_layer(self.layer).output, self._head.input
        self._to_maps = keras.Model(model.input, maps)
        self._to_features = None if maps is features else keras.Model(maps, features)

    def __call__(self, image: Picture, class_: int | None = None) -> NDArray[np.float32]:
        """The heat, (H, W) from 0 to 1: see `grad_cam`."""
        pixels = pixels_for(self.model, image)
        heat = self.coarse(pixels, class_)
        height, width = pixels.shape[:2]
        stretched = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)
        return _to_one(np.asarray(stretched))

    def coarse(self, pixels: NDArray[np.float32], class_: int | None = None) -> NDArray[np.float32]:
        """The heat before it is stretched.

        Args:
            pixels: (H, W, 3), 0-255, as the model takes them.
            class_: As for `grad_cam`.

        Returns:
            (h, w), the sides of the layer's maps: 0 or more, in no unit.
        """
        index = self._checked(class_)
        maps = self._to_maps(preprocess_input(pixels, self.model)[None], training=False)

        def score(x: Any) -> Any:
            logits = self._logits(x)[0]
            return keras.ops.max(logits) if index is None else logits[index]

        slopes = _numpy(gradient(score, maps))
        return np.maximum(_numpy(maps) @ slopes.mean((0, 1)), 0)

    def _logits(self, maps: Any) -> Any:
        """(B, classes), what the classifier's activation would get."""
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
    """One picture's, (H, W, C)."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)[0]


def _to_one(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    most = heat.max()
    return heat / most if most > 0 else heat
