"""Pictures in, names out, with whatever engine this machine runs fastest."""

from keras_effnets.prediction.predictor import Predictor

__all__ = ["Predictor"]
