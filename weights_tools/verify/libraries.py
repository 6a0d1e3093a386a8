"""Networks of other libraries: what torch and its like are imported for, and only when called."""

import copy
import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_effnets.images.preset import Preset
from keras_effnets.models.nin import NiNConfig
from keras_effnets.models.registry import get_builder
from keras_effnets.weights.catalog import WEIGHTS, WeightsInfo
from weights_tools.verify import nin_in_torch as nin_peer

TIMM_NAMES = {
    "efficientnet_v2_s": "efficientnetv2_s",
    "efficientnet_v2_m": "efficientnetv2_m",
    "efficientnet_v2_l": "efficientnetv2_l",
    "mobilenet_v1": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "se_resnet50": "seresnet50",
    "se_resnet101": "seresnet101",
    "se_resnet152": "seresnet152",
    "se_resnext50_32x4d": "seresnext50_32x4d",
    "se_resnext101_32x4d": "seresnext101_32x4d",
}
"""By ours; the others are the same."""


class NoPeerError(OSError):
    """The library that has the reference network cannot be used here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A network of another library, and how it wants its pictures."""

    package: str
    network: Any
    resized: Callable[[Image.Image], NDArray[np.uint8]]
    """To (side, side, 3)."""
    prepared: Callable[[Image.Image], Any]
    """To what the network takes, a float32 tensor (3, side, side)."""
    source: str | None = None
    """Whose names its tensors have, where they are not the checkpoint's."""


# `import_module` here and below: so types are checked alike where these packages are and are not.
def import_torch() -> Any:
    """Torch itself.

    Raises:
        NoPeerError: Where it cannot be imported.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise _absent("torch", error) from error


def _absent(package: str, error: Exception) -> NoPeerError:
    return NoPeerError(
        f"the reference needs {package}, which cannot be imported here ({error}); where it can, "
        "`weights-tools record` writes a reference that --against takes"
    )


def _sized(crop: int, resize: int, side: int | None) -> Preset:
    """A library's sides, in proportion for another than its own."""
    own = Preset(crop=crop, resize=resize)
    return own if side is None else own.at(side)


def _plain(prepared: Callable[[Image.Image], Any]) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """Pixels, from a transform with mean 0 and deviation 1."""
    return lambda image: np.rint(prepared(image).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def _torchvision(model: str, classes: int, published: WeightsInfo | None, side: int | None) -> Peer:
    try:
        models = importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError) as error:  # its compiled part may not fit torch
        raise _absent("torchvision", error) from error
    if model not in models.list_models():
        raise ValueError(f"torchvision has no {model}: its checkpoints cannot be compared")
    known = models.get_model_weights(model)
    name = published.name if published else ""
    weights = known[name] if name in known.__members__ else known.DEFAULT
    transform = weights.transforms()
    size = _sized(transform.crop_size[0], transform.resize_size[0], side)
    transform.crop_size, transform.resize_size = [size.crop], [size.resize]
    plain = copy.deepcopy(transform)
    plain.mean, plain.std = [0.0] * 3, [1.0] * 3
    options: dict[str, Any] = {"num_classes": classes}
    if model == "googlenet":
        options |= {"aux_logits": False, "init_weights": False}
    network = models.get_model(model, weights=None, **options)
    prepared: Callable[[Image.Image], Any] = transform
    if model == "googlenet":
        # With published weights it maps its pictures to -1 to 1 itself, which is part of how they
        # are prepared here.
        mapped = partial(type(network)._transform_input, SimpleNamespace(transform_input=True))

        def prepared(image: Image.Image) -> Any:
            return mapped(transform(image)[None])[0]

    return Peer(
        package="torchvision",
        network=network,
        resized=_plain(plain),
        prepared=prepared,
        source="torchvision",
    )


def _timm(
    prefix: str, model: str, classes: int, published: WeightsInfo | None, side: int | None
) -> Peer:
    try:
        timm = importlib.import_module("timm")
        data = importlib.import_module("timm.data")
    except (ImportError, RuntimeError) as error:  # it imports torchvision
        raise _absent("timm", error) from error
    name = prefix + TIMM_NAMES.get(model, model)
    network = timm.create_model(name, pretrained=False, num_classes=classes)
    options = data.resolve_data_config({}, model=network)
    if side is not None:
        crop = options["input_size"][-1]
        size = _sized(crop, int(crop / options["crop_pct"]), side)
        # timm rounds side / crop_pct down: the half keeps that clear of an integer.
        options |= {"input_size": (3, side, side), "crop_pct": side / (size.resize + 0.5)}
    plain = data.create_transform(**{**options, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    return Peer(
        package="timm",
        network=network,
        resized=_plain(plain),
        prepared=data.create_transform(**options),
    )


def _efficientnet_pytorch(
    model: str, classes: int, published: WeightsInfo | None, side: int | None
) -> Peer:
    """The package of that name, or its fork for the Lite networks; neither prepares pictures."""
    package = "efficientnet_lite_pytorch" if "lite" in model else "efficientnet_pytorch"
    try:
        if "lite" in model:
            library = importlib.import_module("efficientnet_lite_pytorch")
        else:
            library = importlib.import_module("efficientnet_pytorch")
    except ImportError as error:
        raise _absent(package, error) from error
    # Without a size it pads for whatever side it is shown; with one, for that side only.
    network = library.EfficientNet.from_name(
        model.replace("_", "-", 1), num_classes=classes, image_size=None
    )
    # What its publisher states, and not what the file to be verified says.
    config = replace(get_builder(model).config, profile="tensorflow", preset=None)
    stated = [each.preset for each in WEIGHTS.get(model, ()) if each.package]
    preset = published.preset if published else next(iter(stated), config.input_preset)
    resized, prepared = _by_preset(preset if side is None else preset.at(side))
    return Peer(package=package, network=network, resized=resized, prepared=prepared)


def _sequential(model: str, classes: int, published: WeightsInfo | None, side: int | None) -> Peer:
    """A network that no library has, nor any preparation of its pictures."""
    config = get_builder(model).config
    if not isinstance(config, NiNConfig):
        raise ValueError(f"no library has {model}: its checkpoints cannot be compared")
    preset = config.input_preset
    resized, prepared = _by_preset(preset if side is None else preset.at(side))
    network = nin_peer.network(import_torch(), config, classes)
    return Peer(package="torch", network=network, resized=resized, prepared=prepared)


def _by_preset(
    preset: Preset,
) -> tuple[Callable[[Image.Image], NDArray[np.uint8]], Callable[[Image.Image], Any]]:
    """What a `Peer` does to pictures, where its library leaves that to others."""

    def resized(image: Image.Image) -> NDArray[np.uint8]:
        size = [int(preset.resize * n / min(image.size)) for n in image.size]
        filter_ = Image.Resampling[preset.interpolation.upper()]
        left, top = (round((n - preset.crop) / 2) for n in size)
        box = (left, top, left + preset.crop, top + preset.crop)
        return np.array(image.resize((size[0], size[1]), filter_).crop(box))

    def prepared(image: Image.Image) -> Any:
        x = (resized(image).astype(np.float64) - preset.mean) / preset.std
        return import_torch().from_numpy(x.astype(np.float32).transpose(2, 0, 1).copy())

    return resized, prepared


PEERS: dict[str, Callable[[str, int, WeightsInfo | None, int | None], Peer]] = {
    "torchvision": _torchvision,
    "torchvision_legacy": _torchvision,
    "timm": partial(_timm, ""),
    "timm_tf": partial(_timm, "tf_"),
    "efficientnet_pytorch": _efficientnet_pytorch,
    "sequential": _sequential,
}
"""By the name of the source; takes a model, its number of classes, the published set if it is one,
and a side other than the library's own."""


def find_peer(source: str, *arguments: Any) -> Peer:
    """The network whose checkpoints are of that source; `arguments` as `PEERS` says.

    Raises:
        ValueError: If there is none in torch.
        NoPeerError: If its library cannot be imported.
    """
    if source not in PEERS:
        raise ValueError(
            f"checkpoints of {source} have no network in torch to be compared with; those of "
            f"{', '.join(PEERS)} have"
        )
    return PEERS[source](*arguments)
