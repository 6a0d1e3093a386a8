"""Layers that the networks share; importing this registers them with Keras."""

from keras_effnets.layers.auxiliary_classifier import AuxiliaryClassifier
from keras_effnets.layers.chain import nested_layers
from keras_effnets.layers.classifier import Classifier, ConvClassifier
from keras_effnets.layers.conv import (
    ConvAct,
    ConvNormAct,
    DepthwiseConvNormAct,
    round_filters,
)
from keras_effnets.layers.dense import DenseAct
from keras_effnets.layers.dense_block import DenseBlock, Transition
from keras_effnets.layers.depthwise_separable import DepthwiseSeparable
from keras_effnets.layers.fire import FireModule
from keras_effnets.layers.fused_norm import separate_norms
from keras_effnets.layers.grouped_conv import GroupedConv2D, portable_convolutions
from keras_effnets.layers.inception import Inception
from keras_effnets.layers.inverted_residual import (
    FusedMBConv,
    InvertedResidual,
    InvertedResidualSE,
    MBConvSE,
)
from keras_effnets.layers.mlpconv import MlpConv
from keras_effnets.layers.norm_act_conv import NormActConv
from keras_effnets.layers.normalization import LocalResponseNormalization, NormAct
from keras_effnets.layers.padded_shortcut import PaddedShortcut
from keras_effnets.layers.pooling import AdaptiveAveragePool, MaxPool
from keras_effnets.layers.preact_residual import PreActBlock, PreActBottleneck
from keras_effnets.layers.preprocessing import Preprocessing
from keras_effnets.layers.residual import BasicBlock, Bottleneck
from keras_effnets.layers.squeeze_excite import SqueezeExcite
from keras_effnets.layers.stochastic_depth import StochasticDepth

__all__ = [
    "AdaptiveAveragePool",
    "AuxiliaryClassifier",
    "BasicBlock",
    "Bottleneck",
    "Classifier",
    "ConvAct",
    "ConvClassifier",
    "ConvNormAct",
    "DenseAct",
    "DenseBlock",
    "DepthwiseConvNormAct",
    "DepthwiseSeparable",
    "FireModule",
    "FusedMBConv",
    "GroupedConv2D",
    "Inception",
    "InvertedResidual",
    "InvertedResidualSE",
    "LocalResponseNormalization",
    "MBConvSE",
    "MaxPool",
    "MlpConv",
    "NormAct",
    "NormActConv",
    "PaddedShortcut",
    "PreActBlock",
    "PreActBottleneck",
    "Preprocessing",
    "SqueezeExcite",
    "StochasticDepth",
    "Transition",
    "nested_layers",
    "portable_convolutions",
    "round_filters",
    "separate_norms",
]
