"""The original networks in torch's libraries, which are imported only on demand."""

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
from weights_tools.verify import nin_in_torch


class NoLibraryError(OSError):
    """The library of the original network cannot be imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A network of another library, with its preprocessing."""

    package: str
    network: Any
    resize: Callable[[Image.Image], NDArray[np.uint8]]
    """Resizes and crops an image to (side, side, 3)."""
    preprocess: Callable[[Image.Image], Any]
    """Turns an image into the network's input, a float32 tensor (3, side, side)."""
    source: str | None = None
    """The source of its tensors' names, if they are not the checkpoint's."""


# `import_module` here and below, so that types are checked alike with and without these packages.
def import_torch() -> Any:
    """Imports torch.

    Raises:
        NoLibraryError: If it cannot be imported.
    """
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise _absent("torch", error) from error


def _absent(package: str, error: Exception) -> NoLibraryError:
    return NoLibraryError(
        f"the reference needs {package}, which cannot be imported here ({error}); on a machine "
        "that has it, `weights-tools record` writes a reference for --against"
    )


def _sized(crop: int, resize: int, side: int | None) -> Preset:
    """Returns a library's crop and resize sizes, scaled in proportion to `side`."""
    own = Preset(crop=crop, resize=resize)
    return own if side is None else own.at(side)


def _pixels(transform: Callable[[Image.Image], Any]) -> Callable[[Image.Image], NDArray[np.uint8]]:
    """Makes a transform with mean 0 and standard deviation 1 return pixels."""
    return lambda image: np.rint(transform(image).permute(1, 2, 0).numpy() * 255).astype(np.uint8)


def _torchvision(
    model: str, classes: int, published: WeightsInfo | None, side: int | None
) -> Original:
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
    preprocess: Callable[[Image.Image], Any] = transform
    if model == "googlenet":
        # With published weights the network itself maps its input to -1 to 1; here that is part
        # of the preprocessing.
        mapped = partial(type(network)._transform_input, SimpleNamespace(transform_input=True))

        def preprocess(image: Image.Image) -> Any:
            return mapped(transform(image)[None])[0]

    return Original(
        package="torchvision",
        network=network,
        resize=_pixels(plain),
        preprocess=preprocess,
        source="torchvision",
    )


def _timm(
    source: str, model: str, classes: int, published: WeightsInfo | None, side: int | None
) -> Original:
    try:
        timm = importlib.import_module("timm")
        data = importlib.import_module("timm.data")
    except (ImportError, RuntimeError) as error:  # timm imports torchvision
        raise _absent("timm", error) from error
    config = get_builder(model).config
    name = config.spellings[source].architecture(config)
    if name is None:
        raise ValueError(f"timm has no {model}: its checkpoints cannot be compared")
    network = timm.create_model(name, pretrained=False, num_classes=classes)
    options = data.resolve_data_config({}, model=network)
    if side is not None:
        crop = options["input_size"][-1]
        size = _sized(crop, int(crop / options["crop_pct"]), side)
        # timm rounds side / crop_pct down: the half keeps the quotient away from an integer.
        options |= {"input_size": (3, side, side), "crop_pct": side / (size.resize + 0.5)}
    plain = data.create_transform(**{**options, "mean": (0.0,) * 3, "std": (1.0,) * 3})
    return Original(
        package="timm",
        network=network,
        resize=_pixels(plain),
        preprocess=data.create_transform(**options),
    )


def _efficientnet_pytorch(
    model: str, classes: int, published: WeightsInfo | None, side: int | None
) -> Original:
    """The package of that name, or its fork for Lite; neither has any preprocessing."""
    package = "efficientnet_lite_pytorch" if "lite" in model else "efficientnet_pytorch"
    try:
        if "lite" in model:
            library = importlib.import_module("efficientnet_lite_pytorch")
        else:
            library = importlib.import_module("efficientnet_pytorch")
    except ImportError as error:
        raise _absent(package, error) from error
    # Without a size it pads for the size of each input; with one, for that size only.
    spelling = get_builder(model).config.spellings["efficientnet_pytorch"]
    network = library.EfficientNet.from_name(
        spelling.architecture(get_builder(model).config), num_classes=classes, image_size=None
    )
    # The publisher's preset, not that of the file to be verified.
    config = replace(get_builder(model).config, profile="tensorflow", preset=None)
    stated = [each.preset for each in WEIGHTS.get(model, ()) if each.package]
    preset = published.preset if published else next(iter(stated), config.input_preset)
    resize, preprocess = _by_preset(preset if side is None else preset.at(side))
    return Original(package=package, network=network, resize=resize, preprocess=preprocess)


def _sequential(
    model: str, classes: int, published: WeightsInfo | None, side: int | None
) -> Original:
    """A network that no library has; its preprocessing follows our preset."""
    config = get_builder(model).config
    if not isinstance(config, NiNConfig):
        raise ValueError(f"no library has {model}: its checkpoints cannot be compared")
    preset = config.input_preset
    resize, preprocess = _by_preset(preset if side is None else preset.at(side))
    network = nin_in_torch.network(import_torch(), config, classes)
    return Original(package="torch", network=network, resize=resize, preprocess=preprocess)


def _by_preset(
    preset: Preset,
) -> tuple[Callable[[Image.Image], NDArray[np.uint8]], Callable[[Image.Image], Any]]:
    """Returns the preprocessing of an `Original` whose library has none."""

    def resize(image: Image.Image) -> NDArray[np.uint8]:
        size = [int(preset.resize * n / min(image.size)) for n in image.size]
        filter_ = Image.Resampling[preset.interpolation.upper()]
        left, top = (round((n - preset.crop) / 2) for n in size)
        box = (left, top, left + preset.crop, top + preset.crop)
        return np.array(image.resize((size[0], size[1]), filter_).crop(box))

    def preprocess(image: Image.Image) -> Any:
        x = (resize(image).astype(np.float64) - preset.mean) / preset.std
        return import_torch().from_numpy(x.astype(np.float32).transpose(2, 0, 1).copy())

    return resize, preprocess


ORIGINALS: dict[str, Callable[[str, int, WeightsInfo | None, int | None], Original]] = {
    "torchvision": _torchvision,
    "torchvision_legacy": _torchvision,
    "timm": partial(_timm, "timm"),
    "timm_tf": partial(_timm, "timm_tf"),
    "efficientnet_pytorch": _efficientnet_pytorch,
    "sequential": _sequential,
}
"""By source. Each takes a model, its number of classes, the published set if it is one, and an
input size if it is not the library's own."""


def find_original(source: str, *arguments: Any) -> Original:
    """Returns the network whose checkpoints have this source; `arguments` are those of `ORIGINALS`.

    Raises:
        ValueError: If the source has no network in torch.
        NoLibraryError: If its library cannot be imported.
    """
    if source not in ORIGINALS:
        raise ValueError(
            f"source {source!r} has no network in torch to compare with; supported sources: "
            f"{', '.join(ORIGINALS)}"
        )
    return ORIGINALS[source](*arguments)
