"""Exports a network as a state dict that the original PyTorch network loads strictly.

The profile decides which networks are allowed: one that pads like TensorFlow would load into one
that pads like PyTorch, and silently give wrong answers.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy

from keras_effnets.images.preset import Preset
from keras_effnets.models.registry import get_builder
from keras_effnets.plan.config import check_profile
from keras_effnets.weights.names.rule import Rule, Source, inverse
from weights_tools.export_source import ExportSource, find_source
from weights_tools.formats.atomic import replacing
from weights_tools.formats.torch_format.writer import write_torch_file

TARGETS = ("torchvision", "timm", "timm_tf", "efficientnet_pytorch")
"""Sources whose networks are in PyTorch."""
OUTPUTS = (".pth", ".pt", ".bin", ".safetensors")
COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportReport:
    """An export's result."""

    model: str
    to: str
    architecture: str
    """The target library's name of the network."""
    profile: str
    preset: Preset
    """How the network expects its images, which PyTorch prepares outside it."""
    classes: int
    tensors: int
    """Tensors written, without the counters."""
    counters: int
    """Batch counters, which Keras does not have."""
    counted: int
    """Counters with the original's value; the others are 0."""
    out: Path


def export_torch(
    model: str | os.PathLike[str] | keras.Model,
    out: str | os.PathLike[str],
    *,
    to: str,
    name: str | None = None,
    profile: str | None = None,
) -> ExportReport:
    """Writes a network's weights as a PyTorch library's state dict.

    Args:
        model: A network's name, for its default weights; a file of ours (`.safetensors`,
            `.keras`, `.weights.h5`); or a model from one of our builders, with any number of
            classes.
        out: The file to write: `.pth`, `.pt` or `.bin` (PyTorch's), or `.safetensors`.
        to: The target, one of `TARGETS`.
        name: The network's name, as in `keras_effnets.list_models`, if neither the file's header
            nor the model's name gives it.
        profile: `"torch"` or `"tensorflow"`, if the file does not record it: `.weights.h5`
            written by Keras.

    Raises:
        ValueError: For a network that `to` does not have, or not with this profile; one without
            classifier, with dilated blocks or other variables; an unknown name or ending.
            Nothing is written then.
        OSError: If a file cannot be read or written.
    """
    out = Path(out)
    if not out.name.endswith(OUTPUTS):
        raise ValueError(f"out={str(out)!r} does not end in one of {', '.join(OUTPUTS)}")
    if to not in TARGETS:
        raise ValueError(f"to={to!r} is not one of {', '.join(TARGETS)}")
    if profile is not None:
        check_profile(profile)
    if not isinstance(model, keras.Model) and out.resolve() == Path(model).resolve():
        raise ValueError(f"out={str(out)!r} is the file to be exported")
    network = find_source(model, name, profile)
    source = _source(network, to)
    rules, tensors = _state_dict(network, source)
    if out.suffix == ".safetensors":
        # In C order, because safetensors 0.8 writes a view's memory as it lies.
        arrays = {key: np.asarray(tensor(), order="C") for key, tensor in tensors.items()}
        content = safetensors.numpy.save(arrays, {"format": "pt"})
        with replacing(out) as file:
            file.write(content)
    else:
        write_torch_file(out, tensors)
    bias = next(
        rule.source
        for rule in rules
        if rule.target.startswith("classifier/") and rule.target.endswith("/bias")
    )
    return ExportReport(
        model=network.config.name,
        to=to,
        architecture=str(source.architecture(network.config)),
        profile=network.config.profile,
        preset=network.preset,
        classes=len(tensors[bias]()),
        tensors=len(rules),
        counters=len(tensors) - len(rules),
        counted=len(network.counters),
        out=out,
    )


def _source(network: ExportSource, to: str) -> Source:
    """The target's source of key names; ValueError if its network is a different one."""
    config = network.config
    spellings = {
        key: spelling
        for key, spelling in config.spellings.items()
        if key in TARGETS and spelling.architecture(config) is not None
    }
    fitting = [
        key
        for key, spelling in spellings.items()
        if spelling.profile == config.profile
        and (spelling.epsilon or config.conventions.epsilon) == network.epsilon
    ]
    usual = replace(get_builder(config.name).config, profile=config.profile).fixed_options
    if config.fixed_options != usual:
        raise ValueError(
            f"to={to!r}: {network.what} has {config.fixed_options}, the network there {usual}"
        )
    if to in fitting:
        return spellings[to]
    if to not in spellings:
        reason = f"to={to!r} has no {config.name}"
    else:
        reason = (
            f"to={to!r}: {network.what} has profile {config.profile!r} and epsilon "
            f"{network.epsilon}, so it would load there and give wrong answers"
        )
    raise ValueError(f"{reason}; to={' or '.join(map(repr, fitting)) or 'nothing'} fits")


def _state_dict(
    network: ExportSource, source: Source
) -> tuple[list[Rule], Mapping[str, Callable[[], np.ndarray]]]:
    """The rules, and a function for each tensor, by the target's names and in its order."""
    rules = list(source.rules(network.config))
    targets = {rule.target for rule in rules}
    missing = [f"missing: {name}" for name in targets if name not in network.values]
    unexpected = [f"unexpected: {name}" for name in network.values if name not in targets]
    if problems := sorted([*missing, *unexpected]):
        raise ValueError(
            f"{network.what} is not a whole {network.config.name}:\n  " + "\n  ".join(problems)
        )
    tensors: dict[str, Callable[[], np.ndarray]] = {}
    for rule in rules:
        tensors[rule.source] = partial(_tensor, rule.kind, network.values[rule.target])
        norm, dot, last = rule.source.rpartition(".")
        if last == "running_var":
            count = network.counters.get(rule.target.removesuffix("/moving_variance"), 0)
            tensors[f"{norm}{dot}{COUNTER}"] = partial(np.array, count, np.int64)
    return rules, tensors


def _tensor(kind: str, value: Callable[[], np.ndarray]) -> np.ndarray:
    return inverse(kind, value())
