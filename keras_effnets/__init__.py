"""Convolutional networks for Keras 3, each numerically identical to its reference.

Importing this registers every layer with Keras, so that saved models load.
"""

import os

if os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "true", "True"):
    raise ImportError(
        "keras_effnets needs Keras 3, and TF_USE_LEGACY_KERAS makes TensorFlow use Keras 2: "
        "unset that variable"
    )

from keras_effnets.analysis.benchmark import benchmark, contenders
from keras_effnets.analysis.seeing import GradCAM, feature_grid, feature_maps, grad_cam, overlay
from keras_effnets.analysis.summary import Summary, summary
from keras_effnets.images.class_names import Prediction, decode_predictions, imagenet_classes
from keras_effnets.images.preprocessing import load_image, preprocess_input
from keras_effnets.images.preset import Preset
from keras_effnets.models import *  # noqa: F403
from keras_effnets.models import __all__ as _models
from keras_effnets.models.registry import ModelInfo, create_model, list_models, model_info
from keras_effnets.models.surgery import (
    body,
    feature_extractor,
    fold_batch_norm,
    freeze,
    layer_decay,
    reset_classifier,
    unfreeze,
)
from keras_effnets.prediction import Predictor
from keras_effnets.training import finetune
from keras_effnets.training.optimizer import LayerwiseAdamW
from keras_effnets.weights.catalog import WeightsInfo
from weights_tools import __version__ as __version__

__all__ = [
    "GradCAM",
    "LayerwiseAdamW",
    "ModelInfo",
    "Prediction",
    "Predictor",
    "Preset",
    "Summary",
    "WeightsInfo",
    "benchmark",
    "body",
    "contenders",
    "create_model",
    "decode_predictions",
    "feature_extractor",
    "feature_grid",
    "feature_maps",
    "finetune",
    "fold_batch_norm",
    "freeze",
    "grad_cam",
    "imagenet_classes",
    "layer_decay",
    "list_models",
    "load_image",
    "model_info",
    "overlay",
    "preprocess_input",
    "reset_classifier",
    "summary",
    "unfreeze",
    *_models,
]
