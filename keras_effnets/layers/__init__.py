"""Layers that the networks share; importing this registers them with Keras."""

from keras_effnets.layers.chain import nested_layers
from keras_effnets.layers.classifier import Classifier
from keras_effnets.layers.conv import ConvNormAct, DepthwiseConvNormAct, round_filters
from keras_effnets.layers.inverted_residual import InvertedResidual, MBConvSE
from keras_effnets.layers.preprocessing import Preprocessing
from keras_effnets.layers.squeeze_excite import SqueezeExcite
from keras_effnets.layers.stochastic_depth import StochasticDepth

__all__ = [
    "Classifier",
    "ConvNormAct",
    "DepthwiseConvNormAct",
    "InvertedResidual",
    "MBConvSE",
    "Preprocessing",
    "SqueezeExcite",
    "StochasticDepth",
    "nested_layers",
    "round_filters",
]
