"""The networks before batch norm in torch, alive: torchvision's, and from the papers' tables.

Hidden layers have few units, as those of `shrunken`; convolutions are as wide as published.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import compare
import keras
import living
import shrunken
import torch
from torch import nn
from torchvision_import import import_torchvision

from keras_effnets.plan.deferred import sketch

GAIN = 2**0.5
"""Keeps the signal through ReLUs where no batch norm does."""


def relu(*layers: nn.Module) -> list[nn.Module]:
    """Each layer and a ReLU behind it."""
    return [module for layer in layers for module in (layer, nn.ReLU())]


class Sequences(nn.Module):
    """Features, a picture of `side` × `side`, a classifier: as torchvision writes its own."""

    def __init__(self, features: Iterable[nn.Module], classifier: Iterable[nn.Module], side: int):
        super().__init__()
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.classifier = nn.Sequential(*classifier)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def response_norm() -> nn.Module:
    # The paper's alpha is of the sum, torch's of the mean.
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2)


def dense(inputs: int, *, dropout_first: bool) -> list[nn.Module]:
    """Two hidden layers and the classes, with dropout where torchvision's AlexNet or VGG has it."""
    hidden = shrunken.HIDDEN
    one, two = relu(nn.Linear(inputs, hidden)), relu(nn.Linear(hidden, hidden))
    last = nn.Linear(hidden, 1000)
    if dropout_first:
        return [nn.Dropout(), *one, nn.Dropout(), *two, last]
    return [*one, nn.Dropout(), *two, nn.Dropout(), last]


def alexnet() -> nn.Module:
    module = import_torchvision().models.alexnet()
    module.classifier = nn.Sequential(*dense(256 * 36, dropout_first=True))
    return module


def alexnet_2012() -> nn.Module:
    features = [
        *relu(nn.Conv2d(3, 96, 11, 4)),
        response_norm(),
        nn.MaxPool2d(3, 2),
        *relu(nn.Conv2d(96, 256, 5, padding=2, groups=2)),
        response_norm(),
        nn.MaxPool2d(3, 2),
        *relu(nn.Conv2d(256, 384, 3, padding=1)),
        *relu(nn.Conv2d(384, 384, 3, padding=1, groups=2)),
        *relu(nn.Conv2d(384, 256, 3, padding=1, groups=2)),
        nn.MaxPool2d(3, 2),
    ]
    return Sequences(features, dense(256 * 36, dropout_first=True), 6)


def zfnet() -> nn.Module:
    features = [
        *relu(nn.Conv2d(3, 96, 7, 2, padding=1)),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        response_norm(),
        *relu(nn.Conv2d(96, 256, 5, 2)),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        response_norm(),
        *relu(nn.Conv2d(256, 384, 3, padding=1)),
        *relu(nn.Conv2d(384, 384, 3, padding=1)),
        *relu(nn.Conv2d(384, 256, 3, padding=1)),
        nn.MaxPool2d(3, 2),
    ]
    return Sequences(features, dense(256 * 36, dropout_first=False), 6)


class Maps(nn.Module):
    """Network In Network: the mean of each class's map."""

    def __init__(self, layers: Iterable[nn.Module]):
        super().__init__()
        self.features = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.features(x).mean((2, 3))


def mlpconv(first: nn.Conv2d, *widths: int) -> list[nn.Module]:
    layers: list[nn.Module] = [first]
    channels = first.out_channels
    for width in widths:
        layers.append(nn.Conv2d(channels, width, 1))
        channels = width
    return relu(*layers)


def nin() -> nn.Module:
    return Maps(
        [
            *mlpconv(nn.Conv2d(3, 96, 11, 4), 96, 96),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            *mlpconv(nn.Conv2d(96, 256, 5, padding=2), 256, 256),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            *mlpconv(nn.Conv2d(256, 384, 3, padding=1), 384, 384),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Dropout(),
            *mlpconv(nn.Conv2d(384, 1024, 3, padding=1), 1024, 1000),
        ]
    )


def nin_cifar() -> nn.Module:
    return Maps(
        [
            *mlpconv(nn.Conv2d(3, 192, 5, padding=2), 160, 96),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Dropout(),
            *mlpconv(nn.Conv2d(96, 192, 5, padding=2), 192, 192),
            nn.MaxPool2d(3, 2, ceil_mode=True),
            nn.Dropout(),
            *mlpconv(nn.Conv2d(192, 192, 3, padding=1), 192, 10),
        ]
    )


def vgg(name: str) -> nn.Module:
    module = without_values(getattr(import_torchvision().models, name))
    module.classifier = nn.Sequential(*dense(512 * 49, dropout_first=False))
    return module


def without_values(make: Callable[[], nn.Module]) -> nn.Module:
    """A network whose features have any values, and the 100 million behind them none."""
    with torch.device("meta"):
        module = make()
    module.features = module.features.to_empty(device="cpu")
    for layer in module.features:
        if isinstance(layer, nn.BatchNorm2d):
            layer.reset_running_stats()  # which may be no numbers
    return module


def squeezenet(name: str) -> nn.Module:
    return getattr(import_torchvision().models, name)()


def bypassed(name: str, bypass: str) -> nn.Module:
    """torchvision's network with the paper's bypasses, which it lacks."""
    module = squeezenet(name)
    channels = module.features[0].out_channels
    for layer in module.features:
        if not hasattr(layer, "squeeze"):
            continue
        filters = layer.expand1x1.out_channels + layer.expand3x3.out_channels
        if channels != filters and bypass == "complex":
            layer.bypass = nn.Conv2d(channels, filters, 1)
        elif channels == filters:
            layer.bypass = nn.Identity()
        layer.register_forward_hook(_add_bypass)
        channels = filters
    return module


def _add_bypass(fire: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> object:
    return output + fire.bypass(inputs[0]) if hasattr(fire, "bypass") else output


SEQUENCES: dict[str, Callable[[], nn.Module]] = {
    "alexnet": alexnet,
    "alexnet_2012": alexnet_2012,
    "zfnet": zfnet,
    "nin": nin,
    "nin_cifar": nin_cifar,
}


def module_of(name: str) -> nn.Module:
    """The network `name`, with whatever weights."""
    if name in SEQUENCES:
        return SEQUENCES[name]()
    return vgg(name) if name.startswith("vgg") else squeezenet(name)


def taps_of(name: str, module: nn.Module) -> dict[str, str]:
    """Our layers of the body, and the modules that end them: both stand in one order."""
    sketched = sketch(lambda: shrunken.build(name, weights=None))
    parts = ("conv", "mlpconv", "fire", "norm", "pool")
    names = [x.name for x in sketched.layers if x.name.startswith(parts) and x.name != "pool"]
    children = list(module.features)
    if name.startswith("nin"):
        children = children[:-2]  # the classes' maps
    ends = [
        index
        for index, child in enumerate(children)
        if isinstance(child, nn.LocalResponseNorm | nn.MaxPool2d)
        or hasattr(child, "squeeze")
        or (isinstance(child, nn.ReLU) and not _inside_a_block(name, children[index + 1 :]))
    ]
    return {ours: f"features.{end}" for ours, end in zip(names, ends, strict=True)}


def _inside_a_block(name: str, following: list[nn.Module]) -> bool:
    return name.startswith("nin") and bool(following) and isinstance(following[0], nn.Conv2d)


def reference(name: str, side: int, module: nn.Module | None = None) -> living.Reference:
    """The network `name` alive, tapped behind every layer of ours that has a name there too."""
    module = module_of(name) if module is None else module
    preset = shrunken.config_of(name).input_preset
    return living.reference(
        name,
        module,
        taps_of(name, module),
        side,
        mean=preset.mean,
        std=preset.std,
        gain=1.0 if name.endswith("_bn") else GAIN,
    )


def tolerance_of(reference: living.Reference) -> float:
    """Asserts that the reference is alive; returns the tolerance that its noise leaves."""
    noise = reference.noise()
    assert reference.spread() >= 0.1, reference.spread()
    assert noise <= 5e-5, noise
    return max(compare.TOLERANCE, 4 * noise)


def converted(reference: living.Reference, folder: Path, **options: object) -> keras.Model:
    """Ours, from a checkpoint that torch wrote and nothing but our converter read."""
    path = folder / "reference.pth"
    torch.save(reference.state_dict, path)
    options = {
        "weights": path,
        "input_shape": (*reference.pictures.shape[1:3], 3),
        "classifier_activation": None,
        **options,
    }
    return shrunken.build(reference.name, **options)


def assert_agrees(reference: living.Reference, folder: Path, **options: object) -> None:
    """Logits and the features behind every layer."""
    tolerance = tolerance_of(reference)
    model = converted(reference, folder, **options)
    found = compare.errors(model, reference.pictures, reference.logits, reference.features)
    assert max(found.values()) <= tolerance, found


def assert_agrees_in_float64(reference: living.Reference, folder: Path) -> None:
    """To eight digits."""
    logits, features = reference.run(torch.float64)
    keras.config.set_dtype_policy("float64")
    try:
        model = converted(reference, folder)
        found = compare.errors(model, reference.pictures, logits, features)
    finally:
        keras.config.set_dtype_policy("float32")
    assert max(found.values()) <= 1e-8, found


Mutation = Callable[[keras.Model], keras.Model]


def assert_mistakes_show(
    reference: living.Reference, folder: Path, mutations: Iterable[Mutation]
) -> None:
    """Each moves the logits by ten tolerances or more."""
    tolerance = tolerance_of(reference)
    model = converted(reference, folder)
    for mutate in mutations:
        logits = compare.logits(mutate(model), reference.pictures)
        error = compare.relative_error(logits, reference.logits)
        assert error > 10 * tolerance, f"{mutate.__name__} changes the logits by {error:.1e} only"


def edited(layers: str, **values: object) -> Mutation:
    """A mistake: these values in the configs of the layers whose names begin so."""

    def edit(config: dict[str, object]) -> None:
        if str(config["name"]).startswith(layers):
            assert config.keys() >= values.keys()
            config.update(values)

    def mutate(model: keras.Model) -> keras.Model:
        return compare.configured(model, edit)

    mutate.__name__ = f"{layers} with {values}"
    return mutate


def picture_flattened_as_in_torch(model: keras.Model) -> keras.Model:
    """A mistake: the first dense layer's rows in PyTorch's order, channels outermost."""
    mutant = compare.renewed(model, ["fc6"])
    kernel = mutant.get_layer("fc6").dense.kernel
    side, channels = model.get_layer("pool").output.shape[2:]
    rows = keras.ops.reshape(kernel, (side, side, channels, -1))
    rows = keras.ops.transpose(rows, (2, 0, 1, 3))
    kernel.assign(keras.ops.reshape(rows, kernel.shape))
    return mutant
