"""Runs an original network in torch and samples its activations."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_effnets.models.registry import get_builder
from keras_effnets.plan.deferred import outline
from keras_effnets.weights.cache import sha256
from keras_effnets.weights.catalog import find_by_hash
from keras_effnets.weights.conversion import Conversion
from keras_effnets.weights.names.rule import Rule
from weights_tools.formats.our_format import digest
from weights_tools.verify.activations import MEANS, PREPARED, Observer, Samples, relative_error
from weights_tools.verify.libraries import Original, find_original, import_torch
from weights_tools.verify.recording import Reference


def run_reference(
    checkpoint: str | os.PathLike[str],
    model: str,
    pictures: Sequence[NDArray[np.uint8]],
    *,
    side: int | None = None,
    source: str | None = None,
) -> Reference:
    """Runs the network that a checkpoint was made for, and records its activations.

    The checkpoint is read by `weights_tools.formats.checkpoint`: torch never opens it.

    Args:
        checkpoint: The original, as its library wrote it.
        model: The name of our network of the same architecture.
        pictures: The images, (H, W, 3), RGB; at least one.
        side: The input size in pixels; by default the library's.
        source: The source of the checkpoint's names; None detects it.

    Raises:
        ValueError: For an unknown model, or a checkpoint that does not fit.
        OSError: If a file cannot be read, or the library is not installed.
    """
    builder = get_builder(model)
    fingerprint = sha256(Path(checkpoint))
    published = find_by_hash(model, fingerprint)
    conversion = Conversion(
        checkpoint, builder.config, source=source or (published.source if published else None)
    )
    classes = conversion.classes
    if not classes:
        raise ValueError(f"{os.fspath(checkpoint)} has no classifier, and so no logits to compare")
    build = partial(builder, weights=None, profile=conversion.profile, classes=classes)
    values = conversion.values(outline(build))
    original = find_original(conversion.source, model, classes, published, side)
    # The network's own names: the file's may have a prefix, an older spelling or another head.
    spelled = builder.config.spellings[original.source or conversion.source]
    rules = list(spelled.rules(builder.config))
    tensors = {rule.target: conversion.tensors[rule.source] for rule in conversion.rules}
    _load(original, {rule.source: tensors[rule.target] for rule in rules})
    images = [Image.fromarray(picture) for picture in pictures]
    inputs = [original.preprocess(image).float()[None] for image in images]
    single = _observed(original.network, rules, inputs)
    double = _observed(original.network.double(), rules, [x.double() for x in inputs])
    packages = (original.package, "torch", "torchvision", "pillow", "numpy")
    return Reference(
        model=model,
        name=f"{original.package} {metadata.version(original.package)}",
        versions=_versions(packages),
        source=conversion.source,
        profile=conversion.profile,
        sha256=fingerprint,
        weights_set=published.name if published else None,
        pictures=tuple(pictures),
        pixels=np.stack([original.resize(image) for image in images]),
        scaled=side is not None,
        points=single,
        noise={p: relative_error(seen.values, double[p].values) for p, seen in single.items()},
        digests={path: digest(value()) for path, value in values.items()},
    )


def _versions(packages: Iterable[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue  # only the original's library and torch are required
    return found


def _load(original: Original, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Loads the weights of a network: all of them, and nothing else."""
    torch = import_torch()
    # Copies, as the file's arrays are read-only; float32, as torch does not know NumPy's bfloat16.
    state = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in tensors.items()}
    try:
        missing, unexpected = original.network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(
            f"the checkpoint does not fit {original.package}'s network: {error}"
        ) from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(
            f"the checkpoint does not fit {original.package}'s network: missing {missing[:4]}, "
            f"unexpected {unexpected[:4]}"
        )
    original.network.eval()


def _observed(network: Any, rules: Sequence[Rule], inputs: Sequence[Any]) -> dict[str, Samples]:
    """Samples each sublayer that the rules name, while the network runs on one input at a time."""
    observer = Observer(len(inputs))

    def see(point: str, value: Any) -> None:
        # Right away, because in-place activations change the value afterwards.
        value = value.permute(0, 2, 3, 1) if value.ndim == 4 else value
        observer.see(point, value.numpy())

    hooks = []
    for rule in rules:
        path, _, variable = rule.target.rpartition("/")
        part = network.get_submodule(rule.source.rpartition(".")[0])
        if variable == "kernel":
            hooks.append(part.register_forward_pre_hook(_of_input(see, f"{path}:input")))
            hooks.append(part.register_forward_hook(_of_output(see, f"{path}:output")))
        elif variable == "gamma" and hasattr(part, "drop"):
            # timm's norm includes the activation, and calls `drop` between the two.
            hooks.append(part.drop.register_forward_pre_hook(_of_input(see, f"{path}:output")))
        elif variable == "gamma":
            hooks.append(part.register_forward_hook(_of_output(see, f"{path}:output")))
    averages = any(rule.target.startswith("classifier/conv/") for rule in rules)
    with import_torch().inference_mode():
        for x in inputs:
            see(PREPARED, x)
            logits = network(x)
            if averages:
                see(MEANS, logits)
    for hook in hooks:
        hook.remove()
    return observer.samples()


def _of_input(see: Callable[[str, Any], None], point: str) -> Callable[..., None]:
    return lambda module, inputs: see(point, inputs[0])


def _of_output(see: Callable[[str, Any], None], point: str) -> Callable[..., None]:
    return lambda module, inputs, output: see(point, output)
