"""Networks of every family as graphs: an ordinary model, few kinds of operators, one trace."""

from dataclasses import replace
from functools import cache, partial

import keras
import numpy as np
import pytest
import tensorflow as tf
from shrinking import narrow as narrow_tables

import keras_effnets
from keras_effnets.layers.grouped_conv import _tensorflow_groups
from keras_effnets.models import (
    alexnet,
    densenet,
    efficientnet,
    efficientnet_lite,
    efficientnet_v2,
    googlenet,
    mobilenet_v1,
    mobilenet_v3,
    preact_cifar,
    preact_resnet,
    resnet,
    resnext,
    resnext_cifar,
    senet,
    vgg,
    wide_resnet,
    zfnet,
)
from keras_effnets.models import (
    resnet_cifar as cifar_resnet,
)
from keras_effnets.models.builder import create
from keras_effnets.models.registry import get_builder
from keras_effnets.plan.config import Stage


def narrow(config, **fields):
    """A network of rows, an eighth as wide and with few hidden units."""
    rows = tuple(row._replace(filters=row.filters // 8) for row in config.rows)
    return replace(config, rows=rows, hidden=32, **fields)


@cache
def builders():
    """One small network per family, with its image side."""
    one_each = {"name": "small", "repeats": (1, 1, 1, 1)}
    row, v2_rows = mobilenet_v3.V3Row, ((1, 8), (4, 8), (4, 16), (4, 16), (6, 24), (6, 24))
    configs = {
        "AlexNet": (alexnet, narrow(alexnet.VARIANTS[1]), 99),
        "CIFAR ResNet": (cifar_resnet, cifar_resnet.ResNetCIFARConfig(name="small", depth=8), 16),
        "DenseNet": (
            densenet,
            densenet.DenseNetConfig(name="small", repeats=(1, 2, 1, 2), growth_rate=8),
            64,
        ),
        "EfficientNet": (
            efficientnet,
            replace(efficientnet.VARIANTS[0], width=0.25, depth=0.1),
            64,
        ),
        "EfficientNet-Lite": (
            efficientnet_lite,
            replace(efficientnet_lite.VARIANTS[0], width=0.25, depth=0.1),
            64,
        ),
        "EfficientNetV2": (
            efficientnet_v2,
            efficientnet_v2.EfficientNetV2Config(
                name="small",
                side=64,
                dropout=0.2,
                stages=tuple(Stage(e, 3, 1 + (e > 1), filters, 1) for e, filters in v2_rows),
            ),
            64,
        ),
        "GoogLeNet": (googlenet, googlenet.VARIANTS[0], 33),
        "MobileNetV1": (mobilenet_v1, get_builder("mobilenet_v1_0.25").config, 32),
        "MobileNetV3": (
            mobilenet_v3,
            mobilenet_v3.MobileNetV3Config(
                name="small",
                table=(
                    (row(3, 16, 16, True, "relu", 2),),
                    (row(3, 24, 16, False, "relu", 2), row(5, 40, 16, True, "hard_swish", 1)),
                ),
                hidden=64,
            ),
            64,
        ),
        "Pre-activation ResNet": (
            preact_resnet,
            preact_resnet.PreActResNetConfig(**one_each),
            33,
        ),
        "Pre-activation ResNet for CIFAR": (
            preact_cifar,
            preact_cifar.PreActCIFARConfig(name="small", depth=11),
            16,
        ),
        "ResNeXt": (resnet, resnext.ResNeXtConfig(**one_each, groups=8, base_width=32), 64),
        "ResNeXt for CIFAR": (
            resnext_cifar,
            resnext_cifar.ResNeXtCIFARConfig(name="small", depth=11, cardinality=4, base_width=4),
            8,
        ),
        "ResNet": (resnet, resnet.ResNetConfig(**one_each, expansion=1), 64),
        "SENet": (resnet, senet.SENetConfig(**one_each), 64),
        "Stochastic Depth": (
            cifar_resnet,
            cifar_resnet.StochasticDepthConfig(name="small", depth=8),
            16,
        ),
        "VGG": (
            vgg,
            vgg.VGGConfig(
                name="small", repeats=(1, 1, 1, 1, 1), filters=(8, 8, 16, 16, 16), hidden=32
            ),
            64,
        ),
        "Wide ResNet": (resnet, wide_resnet.WideResNetConfig(**one_each), 64),
        "Wide ResNet for CIFAR": (
            preact_cifar,
            preact_cifar.WideResNetCIFARConfig(name="small", depth=10, widen=1),
            16,
        ),
        "ZFNet": (zfnet, narrow(zfnet.VARIANTS[0]), 99),
    }
    found = {
        family: (partial(create, module.build, config), side)
        for family, (module, config, side) in configs.items()
    }

    def of(builder, side, **options):
        return (lambda common: builder(**{**options, **common})), side

    widths = ((16, 12, 8), (16, 16, 12), (24, 16))
    found["MobileNetV2"] = of(keras_effnets.MobileNetV2, 64, alpha=0.35)
    found["Network In Network"] = of(keras_effnets.NiNCIFAR, 32, widths=widths)
    found["SqueezeNet"] = of(keras_effnets.SqueezeNet, 33, base_e=16, incr_e=8)
    return found


@pytest.fixture(autouse=True)
def narrow_tables_for_all():
    """An eighth of the channels where no config can ask for it."""
    with narrow_tables():
        yield


def build(family, **options):
    make, side = builders()[family]
    return make({"weights": None, "input_shape": (side, side, 3), "classes": 10, **options})


FAMILIES = sorted({get_builder(name).config.family for name in keras_effnets.list_models()})
every_family = pytest.mark.parametrize("family", FAMILIES)

# A variable's value, an argument, a result; convolutions; the classifier and the preprocessing.
COMMON = """
    BiasAdd Const Conv2D Identity NoOp Pad Placeholder ReadVariableOp RealDiv Reshape Softmax
    Squeeze Sub
"""
DENSE = "AddV2 MatMul Mul"
NORMED = f"{DENSE} Mean Rsqrt"
RESIDUAL = f"{NORMED} MaxPool Relu"
GATED = "IdentityN Sigmoid"
DEPTHWISE = f"{NORMED} DepthwiseConv2dNative"
RESPONSE = "Pow Square StridedSlice"
# Adaptive pooling, where the map is of another size than what comes out.
ADAPTIVE = "Transpose"
OPERATORS = {
    "AlexNet": f"{DENSE} {ADAPTIVE} {RESPONSE} MaxPool Relu",
    "CIFAR ResNet": f"{NORMED} Relu StridedSlice",
    "DenseNet": f"{RESIDUAL} AvgPool ConcatV2",
    "EfficientNet": f"{DEPTHWISE} {GATED}",
    "EfficientNet-Lite": f"{DEPTHWISE} Relu6",
    "EfficientNetV2": f"{DEPTHWISE} {GATED}",
    "GoogLeNet": f"{RESIDUAL} ConcatV2",
    "MobileNetV1": f"{DEPTHWISE} Relu6",
    "MobileNetV2": f"{DEPTHWISE} Relu6",
    "MobileNetV3": f"{DEPTHWISE} Relu Relu6",
    "Network In Network": "MaxPool Mean Relu",
    "Pre-activation ResNet": RESIDUAL,
    "Pre-activation ResNet for CIFAR": f"{NORMED} Relu",
    "ResNeXt": RESIDUAL,
    "ResNeXt for CIFAR": f"{NORMED} Relu",
    "ResNet": RESIDUAL,
    "SENet": f"{RESIDUAL} Sigmoid",
    "SqueezeNet": "ConcatV2 MaxPool Mean Relu",
    "Stochastic Depth": f"{NORMED} AvgPool Relu",
    "VGG": f"MatMul {ADAPTIVE} MaxPool Relu",
    "Wide ResNet": RESIDUAL,
    "Wide ResNet for CIFAR": f"{NORMED} Relu",
    "ZFNet": f"{DENSE} {ADAPTIVE} {RESPONSE} MaxPool Relu",
}
GROUPED = ("AlexNet", "ResNeXt", "ResNeXt for CIFAR")
# On a CPU without oneDNN these split their convolutions.
SPLIT = set() if _tensorflow_groups("float32") else {"ConcatV2", "Split"}
# What a profile may do without.
OPTIONAL = {"Pad", "Squeeze"}


def operators(model, side):
    """What the graph of a call of `model` is made of, functions included."""
    function = tf.function(lambda x: model(x, training=False))
    concrete = function.get_concrete_function(tf.TensorSpec((1, side, side, 3), tf.float32))
    graph = concrete.graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    return {node.op for node in nodes}


def test_there_is_a_small_network_of_every_family():
    assert sorted(builders()) == sorted(OPERATORS) == FAMILIES


@every_family
@pytest.mark.parametrize("profile", ["torch", "tensorflow"])
def test_graph_holds_only_operators_of_a_short_list(family, profile):
    found = operators(build(family, profile=profile), builders()[family][1])
    allowed = {*COMMON.split(), *OPERATORS[family].split()}
    allowed |= SPLIT if family in GROUPED else set()
    assert found <= allowed, sorted(found - allowed)
    assert allowed - OPTIONAL <= found, sorted(allowed - found)


@every_family
def test_model_is_an_ordinary_one_and_traced_once(family):
    model = build(family)
    assert isinstance(model, keras.Model)
    assert isinstance(model, tf.keras.Model)
    assert type(model) is type(keras.Model(model.input, model.output))
    function = tf.function(model)
    rng = np.random.default_rng(0)
    for _ in range(2):
        function(rng.uniform(0, 255, (2, *model.input_shape[1:])).astype("float32"))
    assert function.experimental_get_tracing_count() == 1
