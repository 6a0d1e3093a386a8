"""Taking networks apart and putting them together again: for training them on other data."""

from keras_effnets.surgery.features import feature_extractor
from keras_effnets.surgery.folding import fold_batch_norm
from keras_effnets.surgery.freezing import freeze, unfreeze
from keras_effnets.surgery.head import body, reset_classifier
from keras_effnets.surgery.rates import layer_decay

__all__ = [
    "body",
    "feature_extractor",
    "fold_batch_norm",
    "freeze",
    "layer_decay",
    "reset_classifier",
    "unfreeze",
]
