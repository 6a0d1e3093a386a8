"""Networks of keras.applications worth comparing with: the counterpart of `living.enliven`."""

from typing import Any

import keras
import numpy as np


def enliven(model: keras.Model, pixels: np.ndarray, seed: int = 0) -> None:
    """Gives a network random weights whose answers depend on what it is shown, in place.

    Args:
        model: Of convolutions, dense layers and batch norms; those that end a residual branch are
            called `…project_bn`, beside a `…add`.
        pixels: Unlike pictures as the network wants them: the batch norms' statistics are theirs.
        seed: Same seed, same weights.
    """
    rng = np.random.default_rng(seed)
    names = {layer.name for layer in model.layers}
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    ends = {x.name for x in norms if x.name.replace("project_bn", "add") in names - {x.name}}
    small = min(0.3, 5 / max(len(ends), 1))
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            _fill(layer, rng)
    for norm in norms:
        scale = small if norm.name in ends else 1.0
        norm.gamma.assign(rng.uniform(0.5, 1.5, norm.gamma.shape) * scale)
        norm.beta.assign(rng.uniform(-0.5, 0.5, norm.beta.shape) * scale)
        norm.momentum, norm.was = 0.0, norm.momentum
    model(pixels, training=True)
    for norm in norms:
        norm.momentum = norm.was
        for statistic in (norm.moving_mean, norm.moving_variance):
            statistic.assign(np.asarray(statistic) * rng.uniform(0.8, 1.2, statistic.shape))


def _fill(layer: Any, rng: np.random.Generator) -> None:
    kernel = layer.kernel
    # A depthwise kernel is (h, w, channels, 1): what it sums over is a channel's own pixels.
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    fan_in = np.prod(kernel.shape[:2] if depthwise else kernel.shape[:-1])
    kernel.assign(rng.normal(0, fan_in**-0.5, kernel.shape))
    if layer.bias is not None:
        layer.bias.assign(rng.uniform(-0.1, 0.1, layer.bias.shape))
