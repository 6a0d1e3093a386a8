"""A small network of every family."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
from shrinking import narrow, shallow

import keras_effnets
from keras_effnets.export.parity import probe_images
from keras_effnets.images.preprocessing import preprocess_input
from keras_effnets.layers import Preprocessing, nested_layers
from keras_effnets.models import (
    alexnet,
    densenet,
    efficientnet_lite,
    efficientnet_v2,
    mobilenet_v1,
    mobilenet_v3,
    preact_cifar,
    preact_resnet,
    resnet,
    resnext_cifar,
    senet,
    vgg,
    zfnet,
)
from keras_effnets.models import (
    resnet_cifar as cifar_resnet,
)
from keras_effnets.models.builder import create
from keras_effnets.models.mobilenet_v3 import V3Row
from keras_effnets.plan.config import Stage

Build = Callable[..., keras.Model]


def _eighth(config: Any) -> Any:
    rows = tuple(row._replace(filters=row.filters // 8) for row in config.rows)
    return replace(config, rows=rows, hidden=16)


def _built(module: Any, config: Any, side: int) -> tuple[Build, int]:
    def build(**options: Any) -> keras.Model:
        own = {key: options.pop(key) for key in ("output_stride",) if key in options}
        return create(module.build, replace(config, name="small", **own), options)

    return build, side


_V2_STAGES = tuple(
    Stage(expansion=expansion, kernel_size=3, strides=strides, filters=filters, repeats=1)
    for expansion, strides, filters in ((1, 1, 8), (4, 2, 8), (4, 2, 16), (4, 2, 16), (6, 2, 24))
)
_V3_TABLE = (
    (V3Row(3, 16, 8, True, "relu", 2),),
    (V3Row(3, 24, 8, False, "relu", 2), V3Row(5, 40, 8, True, "hard_swish", 1)),
    (V3Row(5, 48, 16, True, "hard_swish", 2),),
    (V3Row(5, 96, 16, True, "hard_swish", 2),),
)
_LITE = replace(efficientnet_lite.VARIANTS[0], width=0.25, depth=0.1)
_DENSE = densenet.DenseNetConfig(
    name="", repeats=(1, 2, 1, 1), growth_rate=4, memory_efficient=True, dropout=0.1
)
_NIN = {"widths": ((16, 12, 8), (16, 16), (24,), (32, 24))}
_SQUEEZE = {"base_e": 16, "incr_e": 8, "squeeze_ratio": 0.25}
_ONES = (1, 1, 1, 1)

FAMILIES: dict[str, tuple[Build, int]] = {
    "alexnet": _built(alexnet, _eighth(alexnet.VARIANTS[0]), 67),
    "alexnet_2012": _built(alexnet, _eighth(alexnet.VARIANTS[1]), 67),
    "zfnet": _built(zfnet, _eighth(zfnet.VARIANTS[0]), 64),
    "nin": (partial(keras_effnets.NiN, **_NIN), 67),
    "nin_cifar": (partial(keras_effnets.NiNCIFAR, widths=_NIN["widths"][:3]), 32),
    "vgg": _built(
        vgg,
        vgg.VGGConfig(
            name="", repeats=(1, 1, 2, 1, 1), filters=(8,) * 5, hidden=16, batch_norm=True
        ),
        32,
    ),
    "googlenet": (keras_effnets.GoogLeNet, 33),
    "resnet": _built(resnet, resnet.ResNetConfig(name="", repeats=_ONES, expansion=1), 33),
    "senet": _built(resnet, senet.SENetConfig(name="", repeats=_ONES, drop_path=0.2), 33),
    "cifar_resnet": _built(
        cifar_resnet, cifar_resnet.StochasticDepthConfig(name="", depth=8, drop_path=0.5), 16
    ),
    "preact_resnet": _built(
        preact_resnet, preact_resnet.PreActResNetConfig(name="", repeats=(2, 1, 1, 1)), 33
    ),
    "preact_cifar": _built(
        preact_cifar, preact_cifar.WideResNetCIFARConfig(name="", depth=10, widen=1, dropout=0.3), 8
    ),
    "resnext_cifar": _built(
        resnext_cifar,
        resnext_cifar.ResNeXtCIFARConfig(name="", depth=11, cardinality=4, base_width=4),
        8,
    ),
    "densenet": _built(densenet, _DENSE, 64),
    "squeezenet": (partial(keras_effnets.SqueezeNet, **_SQUEEZE), 33),
    "mobilenet_v1": _built(mobilenet_v1, mobilenet_v1.VARIANTS[3], 32),
    "mobilenet_v2": (partial(keras_effnets.MobileNetV2, alpha=0.5), 32),
    "mobilenet_v3": _built(
        mobilenet_v3, mobilenet_v3.MobileNetV3Config(name="", table=_V3_TABLE, hidden=32), 32
    ),
    "efficientnet": (partial(keras_effnets.EfficientNet, width=0.25, depth=0.1), 32),
    "efficientnet_lite": _built(efficientnet_lite, _LITE, 32),
    "efficientnet_v2": _built(
        efficientnet_v2,
        efficientnet_v2.EfficientNetV2Config(name="", side=64, dropout=0.2, stages=_V2_STAGES),
        32,
    ),
}


def small(family: str, **options: Any) -> keras.Model:
    """The network of a family, for four classes."""
    builder, side = FAMILIES[family]
    options = {"weights": None, "classes": 4, "input_shape": (side, side, 3), **options}
    with narrow(), shallow(mobilenet_v1):
        return builder(**options)


def living(family: str, **options: Any) -> keras.Model:
    """The same with batch norms that do something, and answers that depend on the picture."""
    model = small(family, **options)
    enliven(model)
    return model


def enliven(model: keras.Model) -> None:
    """Gives any model batch norms none of which is an identity, under which the pictures matter.

    Gammas and betas are random; the statistics are those of made pictures, without which a few
    layers of random weights say the same of every picture.
    """
    draw = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith("gamma"):
            weight.assign(draw.uniform(0.5, 1.5, weight.shape))
        elif weight.path.endswith("beta"):
            weight.assign(draw.normal(0, 0.3, weight.shape))
    norms = [
        layer
        for layer in nested_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.momentum = 0.0
    *sides, channels = model.input_shape[1:]
    pixels = probe_images((*(side or 64 for side in sides), channels), 8)
    if any(isinstance(layer, Preprocessing) for layer in model.layers):
        pixels = preprocess_input(pixels, model)
    model(pixels, training=True)
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
        # Channels that hardly vary would blow rounding up, layer by layer.
        mean, variance = map(np.asarray, (layer.moving_mean, layer.moving_variance))
        layer.moving_variance.assign(variance.mean() / 2 + variance / 2 + mean**2 / 4)
