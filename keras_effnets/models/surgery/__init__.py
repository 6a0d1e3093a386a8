"""Changing built networks: new classifiers, frozen layers, features, folded batch norms."""

from keras_effnets.models.surgery.classifier import body, reset_classifier
from keras_effnets.models.surgery.features import feature_extractor
from keras_effnets.models.surgery.folding import fold_batch_norm
from keras_effnets.models.surgery.freezing import freeze, unfreeze
from keras_effnets.models.surgery.learning_rates import layer_decay

__all__ = [
    "body",
    "feature_extractor",
    "fold_batch_norm",
    "freeze",
    "layer_decay",
    "reset_classifier",
    "unfreeze",
]
