"""Layers that the networks share; importing this registers them with Keras."""

from keras_effnets.layers.chain import nested_layers
from keras_effnets.layers.classifier import Classifier
from keras_effnets.layers.conv import (
    ConvAct,
    ConvNormAct,
    DepthwiseConvNormAct,
    round_filters,
)
from keras_effnets.layers.dense import DenseAct
from keras_effnets.layers.grouped_conv import GroupedConv2D, portable_convolutions
from keras_effnets.layers.inverted_residual import InvertedResidual, MBConvSE
from keras_effnets.layers.normalization import LocalResponseNormalization, NormAct
from keras_effnets.layers.pooling import AdaptiveAveragePool, MaxPool
from keras_effnets.layers.preprocessing import Preprocessing
from keras_effnets.layers.residual import BasicBlock, Bottleneck, PaddedShortcut
from keras_effnets.layers.squeeze_excite import SqueezeExcite
from keras_effnets.layers.stochastic_depth import StochasticDepth

__all__ = [
    "AdaptiveAveragePool",
    "BasicBlock",
    "Bottleneck",
    "Classifier",
    "ConvAct",
    "ConvNormAct",
    "DenseAct",
    "DepthwiseConvNormAct",
    "GroupedConv2D",
    "InvertedResidual",
    "LocalResponseNormalization",
    "MBConvSE",
    "MaxPool",
    "NormAct",
    "PaddedShortcut",
    "Preprocessing",
    "SqueezeExcite",
    "StochasticDepth",
    "nested_layers",
    "portable_convolutions",
    "round_filters",
]
