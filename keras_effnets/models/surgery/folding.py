"""Batch norms folded into the convolutions before them: fewer operations, the same outputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from keras_effnets.models.surgery.flattening import apply_each, flatten, readers
from keras_effnets.plan.deferred import Shapes, Values, build_from, sketch

_FOLDED = (
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    keras.layers.DepthwiseConv2D,
    keras.layers.Dense,
)
"""Layers with one kernel whose last axes are the output's channels."""


def fold_batch_norm(model: keras.Model) -> keras.Model:
    """Returns a new model for inference, with batch norms folded into the layers before them.

    A batch norm that directly follows a convolution (or a dense layer) becomes part of its kernel
    and bias if nothing else reads the convolution's output. The kernel is multiplied by
    s = γ / √(σ² + ε), and the bias b becomes β - s · μ + s · b. This is exact at padded borders
    too. A batch norm before a convolution stays: zeros padded after it are not zeros before it.
    Blocks are replaced by their layers, which are named after the blocks' parts
    (`stage2_block1_expand_conv`). Dropout and stochastic depth are left out. The preset and the
    labels are kept.

    Args:
        model: Any functional or sequential `keras.Model`, of this package or not, on any backend.
            It is not changed.

    Returns:
        A functional model with the same inputs and outputs and with its own weights.

    Raises:
        ValueError: The model is neither functional nor sequential, or is not built.
    """
    originals: dict[str, Any] = {}

    def copied(layer: Any, name: str, inputs: Any) -> Any:
        originals[name] = layer
        return _again(layer, name)(inputs)

    flat = sketch(lambda: flatten(model, copied))
    folds = {fold.norm.name: fold for fold in _folds(flat, originals)}
    convolutions = {fold.convolution.name: fold for fold in folds.values()}

    def call(operation: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(operation, keras.layers.Layer):
            return operation(*args, **kwargs)
        if operation.name in folds:
            return args[0]
        bias = {"use_bias": True} if operation.name in convolutions else {}
        return _again(operation, operation.name, **bias)(*args)

    def values(shapes: Shapes) -> Values:
        found: dict[str, Callable[[], np.ndarray]] = {}
        for name, layer in originals.items():
            if name in convolutions:
                found.update(convolutions[name].values())
            elif name not in folds:
                for weight in layer.weights:
                    inside = weight.path.removeprefix(f"{layer.path}/")
                    found[f"{name}/{inside}"] = _reader(weight)
        return found

    folded = build_from(lambda: apply_each(flat, call), values)
    for layer in folded.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()  # computes its constants from the weights
    return folded


@dataclass(frozen=True, slots=True)
class _Fold:
    """A convolution and the batch norm after it, in the flat model and in the original."""

    convolution: Any
    norm: Any
    weights: Any
    statistics: Any

    def values(self) -> Values:
        """Returns the weights of the layer that replaces both."""
        depthwise = isinstance(self.convolution, keras.layers.DepthwiseConv2D)
        scale, shift = self._affine()

        def kernel() -> np.ndarray:
            values = _numpy(self.weights.kernel)
            return values * (scale.reshape(values.shape[-2:]) if depthwise else scale)

        def bias() -> np.ndarray:
            return shift + (_numpy(self.weights.bias) * scale if self.weights.use_bias else 0.0)

        name = self.convolution.name
        return {f"{name}/kernel": kernel, f"{name}/bias": bias}

    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        norm = self.statistics
        scale = 1 / np.sqrt(_numpy(norm.moving_variance) + norm.epsilon)
        if norm.scale:
            scale = scale * _numpy(norm.gamma)
        shift = -_numpy(norm.moving_mean) * scale
        return scale, shift + _numpy(norm.beta) if norm.center else shift


def _folds(flat: keras.Model, originals: dict[str, Any]) -> list[_Fold]:
    read = readers(flat)
    makers = {id(layer.output): layer for layer in flat.layers if isinstance(layer, _FOLDED)}
    found = []
    for norm in flat.layers:
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        convolution = makers.get(id(norm.input))
        if (
            convolution is not None
            and read[id(norm.input)] == 1
            and _linear(convolution)
            and _over_channels(norm, convolution)
        ):
            pair = originals[convolution.name], originals[norm.name]
            found.append(_Fold(convolution, norm, *pair))
    return found


def _linear(layer: Any) -> bool:
    return layer.activation in (None, keras.activations.linear)


def _over_channels(norm: Any, convolution: Any) -> bool:
    axis = norm.axis[0] if isinstance(norm.axis, list | tuple) else norm.axis
    rank = len(norm.input.shape)
    first = getattr(convolution, "data_format", "channels_last") == "channels_first"
    return axis % rank == (1 if first else rank - 1)


def _again(layer: Any, name: str, **changes: Any) -> Any:
    """Returns a copy of a layer under another name."""
    return type(layer).from_config({**layer.get_config(), "name": name, **changes})


def _reader(weight: Any) -> Callable[[], np.ndarray]:
    return lambda: keras.ops.convert_to_numpy(weight.value)


def _numpy(weight: Any) -> np.ndarray:
    """Returns the weight in double precision, so that a fold is rounded once."""
    return keras.ops.convert_to_numpy(weight.value).astype(np.float64)
