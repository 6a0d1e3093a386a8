"""Runs other people's networks, and notes what passes through them."""

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
from weights_tools.verify.libraries import Peer, find_peer, import_torch
from weights_tools.verify.recording import Reference
from weights_tools.verify.shown_pictures import Picture


def run_reference(
    checkpoint: str | os.PathLike[str],
    model: str,
    pictures: Sequence[Picture],
    *,
    side: int | None = None,
    source: str | None = None,
) -> Reference:
    """Shows pictures to the network that a checkpoint was made for, and notes what it does.

    The checkpoint is read by `weights_tools.formats.checkpoint`: torch never opens it.

    Args:
        checkpoint: The original, as its library wrote it.
        model: Name of our network of the same architecture.
        pictures: At least one.
        side: Of what the network is given, pixels; by default what its library says.
        source: Whose names the checkpoint has; None finds out.

    Raises:
        ValueError: For an unknown model, or a checkpoint that does not fit.
        OSError: If a file cannot be read, or the library is not there.
    """
    builder = get_builder(model)
    fingerprint = sha256(Path(checkpoint))
    published = find_by_hash(model, fingerprint)
    conversion = Conversion(
        checkpoint, builder.config, source=source or (published.source if published else None)
    )
    classes = conversion.classes
    if not classes:
        raise ValueError(
            f"{os.fspath(checkpoint)} holds no classifier: there is nothing to compare"
        )
    build = partial(builder, weights=None, profile=conversion.profile, classes=classes)
    values = conversion.values(outline(build))
    peer = find_peer(conversion.source, model, classes, published, side)
    # As the network calls them: a file may have more before the names, older ones, or a head called
    # otherwise.
    spelled = builder.config.spellings[peer.source or conversion.source]
    rules = list(spelled.rules(builder.config))
    tensors = {rule.target: conversion.tensors[rule.source] for rule in conversion.rules}
    _load(peer, {rule.source: tensors[rule.target] for rule in rules})
    images = [Image.fromarray(picture) for picture in pictures]
    inputs = [peer.prepared(image).float()[None] for image in images]
    single = _observed(peer.network, rules, inputs)
    double = _observed(peer.network.double(), rules, [x.double() for x in inputs])
    packages = (peer.package, "torch", "torchvision", "pillow", "numpy")
    return Reference(
        model=model,
        name=f"{peer.package} {metadata.version(peer.package)}",
        versions=_versions(packages),
        source=conversion.source,
        profile=conversion.profile,
        sha256=fingerprint,
        weights_set=published.name if published else None,
        pictures=tuple(pictures),
        pixels=np.stack([peer.resized(image) for image in images]),
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
            continue  # none but the peer and torch must be there
    return found


def _load(peer: Peer, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Gives a peer's network its weights: all of them, and nothing else."""
    torch = import_torch()
    # Copies, as the file's own arrays are read-only; and NumPy has no bfloat16 that torch knows.
    state = {name: torch.from_numpy(np.array(value, np.float32)) for name, value in tensors.items()}
    try:
        missing, unexpected = peer.network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise ValueError(
            f"the checkpoint does not fit {peer.package}'s network: {error}"
        ) from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(
            f"the checkpoint does not fit {peer.package}'s network: missing {missing[:4]}, "
            f"unexpected {unexpected[:4]}"
        )
    peer.network.eval()


def _observed(network: Any, rules: Sequence[Rule], inputs: Sequence[Any]) -> dict[str, Samples]:
    """Samples of each sublayer that the rules name, inputs shown one at a time."""
    observer = Observer(len(inputs))

    def see(point: str, value: Any) -> None:
        # At once: activations that work in place change it afterwards.
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
            # timm's norm activates too; between the two it calls this.
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
