"""Our side of a comparison: loads a file's network and samples every sublayer while it runs."""

import contextlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_effnets.images.preset import Preset
from keras_effnets.layers import separate_norms
from keras_effnets.models.registry import get_builder
from keras_effnets.plan.deferred import variables_by_path
from keras_effnets.weights.open import has_our_layers
from weights_tools.formats.checkpoint import read_checkpoint
from weights_tools.formats.our_format import digest
from weights_tools.verify.activations import Observer, Samples


def provenance(file: Path) -> dict[str, str] | None:
    """Returns the metadata of one of our files, which may be empty; None for a foreign file.

    Raises:
        ValueError: If the file cannot be read.
    """
    checkpoint = read_checkpoint(file)
    ours = "keras_effnets" in checkpoint.metadata or has_our_layers(checkpoint)
    return checkpoint.metadata if ours else None


def load(file: Path, model: str, classes: int, profile: str | None = None) -> keras.Model:
    """Loads the network of any file that `weights=` takes; our `.keras` files load as saved.

    Args:
        file: The file.
        model: The name of its network.
        classes: The number of classes of its classifier.
        profile: The profile of a foreign file whose names fit two sources.

    Raises:
        ValueError: If the file is not of this network.
    """
    if file.name.endswith(".keras") and provenance(file) is not None:
        return keras.saving.load_model(file, compile=False)
    return get_builder(model)(
        weights=file, classes=classes, classifier_activation=None, profile=profile
    )


def preset_of(network: keras.Model) -> Preset:
    """Returns the preset of a network of ours.

    Raises:
        ValueError: If the network was not built here.
    """
    with contextlib.suppress(ValueError, AttributeError):
        preset = network.get_layer("preprocessing").preset
        if isinstance(preset, Preset):
            return preset
    raise ValueError(
        f"{network.name} has no layer 'preprocessing' with a preset: keras_effnets did not build it"
    )


def at_side(network: keras.Model, side: int) -> keras.Model:
    """Returns the same network and weights for another input size."""
    shape = tuple(network.input_shape)
    if shape[1:3] in ((side, side), (None, None)):
        return network
    config = network.get_config()
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            layer["config"]["batch_shape"] = (shape[0], side, side, shape[-1])
    resized = keras.Model.from_config(config)
    resized.set_weights(network.get_weights())
    return resized


def digests(network: keras.Model) -> dict[str, str]:
    """Returns the digest of every weight, by path."""
    weights = variables_by_path(network)
    return {path: digest(keras.ops.convert_to_numpy(weight)) for path, weight in weights.items()}


def observe(
    network: keras.Model, points: Collection[str], pixels: NDArray[Any]
) -> dict[str, Samples]:
    """Samples `points` while the network runs on `pixels` (B, H, W, 3), one image at a time.

    The network keeps its observers and cannot be used for anything else afterwards.

    Raises:
        ValueError: If the network has no such sublayer.
    """
    observer = Observer(len(pixels))
    for point in points:
        path, _, side = point.partition(":")
        layer = sublayer(network, path)
        if side == "input" and path.endswith("/conv"):
            unit = sublayer(network, path.removesuffix("/conv"))
            # Our units pad before they convolve; torch's convolution does both.
            layer = unit if hasattr(unit, "padding") else layer
        _watch(layer, side, _seer(observer, point))
    with separate_norms():
        for picture in pixels:
            network(picture[None].astype(np.float32), training=False)
    return observer.samples()


def sublayer(network: keras.Model, path: str) -> Any:
    """Returns the layer at a path such as `stage1_block0/expand/conv`.

    Raises:
        ValueError: If there is no such layer.
    """
    first, *rest = path.split("/")
    try:
        layer = network.get_layer(first)
        for name in rest:
            layer = getattr(layer, name)
    except (ValueError, AttributeError):
        raise ValueError(
            f"{network.name} has no sublayer {path}, which the reference has"
        ) from None
    return layer


def _seer(observer: Observer, point: str) -> Callable[[Any], None]:
    return lambda value: observer.see(point, keras.ops.convert_to_numpy(value))


def _watch(layer: Any, side: str, see: Callable[[Any], None]) -> None:
    """Calls `see` with the layer's input, or with its output before any activation."""
    # torch's layers have no activation. Keras's layers hold it as `activation`; in a layer made of
    # layers that is only its name.
    held = "_activate" if hasattr(layer, "_activate") else "activation"
    if side == "output" and hasattr(layer, held):
        activate = getattr(layer, held)

        def activation(value: Any) -> Any:
            see(value)
            return activate(value)

        setattr(layer, held, activation)
        return
    call = layer.call

    def watched(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if side == "input":
            see(inputs)
        outputs = call(inputs, *args, **kwargs)
        if side == "output":
            see(outputs)
        return outputs

    layer.call = watched
