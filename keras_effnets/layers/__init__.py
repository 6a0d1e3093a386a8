"""The shared layers; importing this package registers them with Keras."""

from keras_effnets.layers.chain import nested_layers
from keras_effnets.layers.classifier import (
    AuxiliaryClassifier,
    Classifier,
    ConvClassifier,
    DenseAct,
)
from keras_effnets.layers.conv import (
    ConvAct,
    ConvNormAct,
    DepthwiseConvNormAct,
    NormAct,
    round_filters,
    separate_norms,
)
from keras_effnets.layers.dense_block import DenseBlock, NormActConv, Transition
from keras_effnets.layers.depthwise_separable import DepthwiseSeparable
from keras_effnets.layers.fire import FireModule
from keras_effnets.layers.grouped_conv import GroupedConv2D, portable_convolutions
from keras_effnets.layers.inception import Inception
from keras_effnets.layers.inverted_residual import (
    FusedMBConv,
    InvertedResidual,
    InvertedResidualSE,
    MBConvSE,
)
from keras_effnets.layers.local_response import LocalResponseNormalization
from keras_effnets.layers.mlpconv import MlpConv
from keras_effnets.layers.pooling import AdaptiveAveragePool, MaxPool
from keras_effnets.layers.preact_residual import PreActBlock, PreActBottleneck
from keras_effnets.layers.preprocessing import Preprocessing
from keras_effnets.layers.residual import BasicBlock, Bottleneck, PaddedShortcut
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
