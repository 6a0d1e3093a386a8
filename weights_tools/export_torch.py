"""From a network of ours to a state dict that the original PyTorch network loads strictly.

Its profile decides where it may go: a network that pads as TensorFlow does would load into one
that pads as PyTorch does, and answer wrongly without a word.
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
from weights_tools.export_source import Donor, find_donor
from weights_tools.formats.our_format import replacing
from weights_tools.formats.torch_format.writer import write_torch_file

TARGETS = ("torchvision", "timm", "timm_tf", "efficientnet_pytorch")
"""Whose networks are PyTorch's, of all the sources that rules know."""
OUTPUTS = (".pth", ".pt", ".bin", ".safetensors")
COUNTER = "num_batches_tracked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an export did."""

    model: str
    to: str
    architecture: str
    """Whose weights these are there: `to`'s name of the network."""
    profile: str
    preset: Preset
    """How the network wants its pictures: outside it in PyTorch."""
    classes: int
    tensors: int
    """Without the counters."""
    counters: int
    """Batch counters, which Keras has not."""
    counted: int
    """How many of them the file remembers from its original; the others are 0."""
    out: Path


def export_torch(
    model: str | os.PathLike[str] | keras.Model,
    out: str | os.PathLike[str],
    *,
    to: str,
    name: str | None = None,
    profile: str | None = None,
) -> Report:
    """Writes a network's weights as the state dict of another library's network.

    Args:
        model: The name of a network, for its default weights; a file of ours (`.safetensors`,
            `.keras`, `.weights.h5`); or a model that a builder of ours made, with any number of
            classes.
        out: File to write: `.pth`, `.pt` or `.bin` (PyTorch's), or `.safetensors`.
        to: Whose network: one of `TARGETS`.
        name: Of the network, as `keras_effnets.list_models` gives it, where neither the file's
            header nor the model's name says it.
        profile: `"torch"` or `"tensorflow"`, where the file does not say it: `.weights.h5`
            written by Keras.

    Raises:
        ValueError: For a network that `to` has not, or not with this profile; one without its
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
        raise ValueError(f"out={str(out)!r} is the file to export from")
    donor = find_donor(model, name, profile)
    source = _source(donor, to)
    rules, tensors = _state_dict(donor, source)
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
    return Report(
        model=donor.config.name,
        to=to,
        architecture=str(source.architecture(donor.config)),
        profile=donor.config.profile,
        preset=donor.preset,
        classes=len(tensors[bias]()),
        tensors=len(rules),
        counters=len(tensors) - len(rules),
        counted=len(donor.counters),
        out=out,
    )


def _source(donor: Donor, to: str) -> Source:
    """How `to` spells the network's checkpoints; ValueError where its network is another."""
    config = donor.config
    spellings = {
        key: spelling
        for key, spelling in config.spellings.items()
        if key in TARGETS and spelling.architecture(config) is not None
    }
    fitting = [
        key
        for key, spelling in spellings.items()
        if spelling.profile == config.profile
        and (spelling.epsilon or config.conventions.epsilon) == donor.epsilon
    ]
    usual = replace(get_builder(config.name).config, profile=config.profile).fixed_options
    if config.fixed_options != usual:
        raise ValueError(
            f"to={to!r}: {donor.what} is of {config.fixed_options}, "
            f"and the network there of {usual}"
        )
    if to in fitting:
        return spellings[to]
    if to not in spellings:
        reason = f"to={to!r}: no network there is known to be {config.name}"
    else:
        reason = (
            f"to={to!r}: {donor.what} is of profile {config.profile!r}, with an epsilon of "
            f"{donor.epsilon}, and would load there and give other answers"
        )
    raise ValueError(f"{reason}; to={' or '.join(map(repr, fitting)) or 'nothing'} fits")


def _state_dict(
    donor: Donor, source: Source
) -> tuple[list[Rule], Mapping[str, Callable[[], np.ndarray]]]:
    """What gives each tensor, by its name there and in the order of the network there."""
    rules = list(source.rules(donor.config))
    targets = {rule.target for rule in rules}
    missing = [f"missing: {name}" for name in targets if name not in donor.values]
    unexpected = [f"unexpected: {name}" for name in donor.values if name not in targets]
    if problems := sorted([*missing, *unexpected]):
        raise ValueError(
            f"{donor.what} is not a whole {donor.config.name}:\n  " + "\n  ".join(problems)
        )
    tensors: dict[str, Callable[[], np.ndarray]] = {}
    for rule in rules:
        tensors[rule.source] = partial(_tensor, rule.kind, donor.values[rule.target])
        norm, dot, last = rule.source.rpartition(".")
        if last == "running_var":
            count = donor.counters.get(rule.target.removesuffix("/moving_variance"), 0)
            tensors[f"{norm}{dot}{COUNTER}"] = partial(np.array, count, np.int64)
    return rules, tensors


def _tensor(kind: str, value: Callable[[], np.ndarray]) -> np.ndarray:
    return inverse(kind, value())
