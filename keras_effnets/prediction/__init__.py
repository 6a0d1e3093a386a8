"""Images in, class names out, on the engine that is fastest on this machine."""

from keras_effnets.prediction.predictor import Predictor

__all__ = ["Predictor"]
