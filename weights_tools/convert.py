"""From a foreign checkpoint to a network's weights, totally or not at all."""

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from keras_effnets.cache import sha256
from keras_effnets.catalog import WeightsInfo, find_by_hash
from keras_effnets.deferred import Shapes, Values, outline
from keras_effnets.models.config import ModelConfig
from keras_effnets.registry import get_builder
from keras_effnets.weights_file import write_weights_file
from weights_tools.checkpoint import CheckpointError, read_checkpoint
from weights_tools.rules import Rule, sources_of, transform, transformed_shape

RULES_VERSION = "1"
"""Part of the names under which conversions are cached: changes when a rule does."""
OUTPUTS = (".safetensors", ".keras", ".weights.h5")


class Conversion:
    """A checkpoint, read as weights of one network.

    Args:
        path: Of the checkpoint.
        config: Of the network.

    Attributes:
        source: The spelling of its keys, as `weights_tools.rules` calls it.
        profile: The profile in which such checkpoints are right.
        evidence: How many of the names that each spelling expects are in the file.
        left_out: Keys that no variable takes, on purpose; known once `values` was called.

    Raises:
        CheckpointError: If the file cannot be read, or its keys are no spelling of the network's.
    """

    def __init__(self, path: str | os.PathLike[str], config: ModelConfig) -> None:
        self.checkpoint = read_checkpoint(path)
        self.tensors = self.checkpoint.tensors
        self.left_out: list[str] = []
        spellings = sources_of(config)
        rules = {name: list(source.rules(config)) for name, source in spellings.items()}
        hits = {
            name: sum(rule.source in self.tensors for rule in rules[name]) for name in spellings
        }
        self.evidence = ", ".join(f"{name} {hits[name]} of {len(rules[name])}" for name in rules)
        self.source = max(rules, key=lambda name: hits[name] / len(rules[name]))
        if hits[self.source] * 2 < len(rules[self.source]):
            first = next(iter(self.tensors))
            raise CheckpointError(
                f"{path} is no checkpoint of {config.name}: of the names expected, it has "
                f"{self.evidence}. Its first is {first!r}"
            )
        self.rules: list[Rule] = rules[self.source]
        self.profile = spellings[self.source].profile
        self._ignored = spellings[self.source].ignored

    @property
    def classes(self) -> int:
        """Number of outputs of the checkpoint's classifier."""
        bias = next(rule.source for rule in self.rules if rule.target == "classifier/dense/bias")
        return self.tensors[bias].shape[0] if bias in self.tensors else 1000

    def values(self, shapes: Shapes, fresh_classifier: bool = False) -> Values:
        """The value of each variable, transposed when it is asked for.

        Args:
            shapes: Of the network's variables, by path.
            fresh_classifier: Whether a classifier of another size is left out.

        Raises:
            CheckpointError: Listing every tensor that is missing, unexpected or mis-shaped.
        """
        rules = self.rules
        if self._leave_head(shapes, fresh_classifier):
            rules = [rule for rule in rules if not rule.target.startswith("classifier/")]
        kept = {rule.source for rule in rules}
        spelled = {rule.source for rule in self.rules}
        self.left_out = [
            key
            for key in self.tensors
            if key not in kept and (key in spelled or key.endswith(self._ignored))
        ]
        unexpected = [key for key in self.tensors if key not in {*kept, *self.left_out}]
        if problems := [*self._problems(rules, shapes), *map("unexpected: {}".format, unexpected)]:
            raise CheckpointError(
                f"{self.checkpoint.path} does not fit the model:\n  " + "\n  ".join(problems)
            )
        return {r.target: partial(_value, r.kind, self.tensors[r.source]) for r in rules}

    def _leave_head(self, shapes: Shapes, fresh: bool) -> bool:
        bias = shapes.get("classifier/dense/bias")
        return bias is None or (fresh and bias != (self.classes,))

    def _problems(self, rules: list[Rule], shapes: Shapes) -> Iterator[str]:
        for rule in rules:
            if rule.source not in self.tensors:
                yield f"missing: {rule.source} (for {rule.target} {shapes[rule.target]})"
                continue
            stored = self.tensors[rule.source].shape
            if transformed_shape(rule.kind, stored) != shapes[rule.target]:
                yield (
                    f"mis-shaped: {rule.source} is {stored}, and {rule.target} is "
                    f"{shapes[rule.target]}"
                )


def _value(kind: str, tensor: np.ndarray) -> np.ndarray:
    return transform(kind, tensor).astype(np.float32, copy=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a conversion did."""

    model: str
    source: str
    evidence: str
    profile: str
    weights_set: str | None
    """The published set that the checkpoint is, by its hash."""
    sha256: str
    classes: int
    tensors: int
    left_out: tuple[str, ...]
    out: Path


def convert(path: str | os.PathLike[str], model: str, out: str | os.PathLike[str]) -> Report:
    """Converts a checkpoint into a file of ours, or one of Keras's.

    Args:
        path: Of the checkpoint: `.pth`, `.pt`, `.bin` or `.safetensors`.
        model: Name of the network, as `keras_effnets.list_models` gives it.
        out: File to write: `.safetensors` (ours), `.keras` (a whole model) or `.weights.h5`.

    Raises:
        ValueError: For an unknown model, another ending, or a checkpoint that does not fit;
            nothing is written then.
        OSError: If a file cannot be read or written.
    """
    out = Path(out)
    if not out.name.endswith(OUTPUTS):
        raise ValueError(f"out={str(out)!r} does not end in one of {', '.join(OUTPUTS)}")
    builder = get_builder(model)
    conversion = Conversion(path, builder.config)
    digest = sha256(conversion.checkpoint.path)
    known = find_by_hash(model, digest)
    config = replace(
        builder.config, profile=conversion.profile, preset=known.preset if known else None
    )
    network = partial(builder, weights=None, profile=conversion.profile, classes=conversion.classes)
    shapes = outline(network)
    values = conversion.values(shapes)
    provenance = _provenance(conversion, config, known, digest)
    if out.suffix == ".safetensors":
        write_weights_file(out, shapes, values, provenance)
    else:
        model_with_weights = partial(builder, weights=path, classes=conversion.classes)
        _save_with_keras(model_with_weights, out, provenance)
    return Report(
        model=model,
        source=conversion.source,
        evidence=conversion.evidence,
        profile=conversion.profile,
        weights_set=known.name if known else None,
        sha256=digest,
        classes=conversion.classes,
        tensors=len(values),
        left_out=tuple(conversion.left_out),
        out=out,
    )


def _provenance(
    conversion: Conversion, config: ModelConfig, known: WeightsInfo | None, digest: str
) -> dict[str, Any]:
    return {
        "model": config.name,
        "config": asdict(config),
        "profile": conversion.profile,
        "preset": config.input_preset.to_dict(),
        "classes": conversion.classes,
        "source": conversion.source,
        "source_file": conversion.checkpoint.path.name,
        "source_sha256": digest,
        "rules": RULES_VERSION,
        "weights_set": known.name if known else "",
        "license": known.license if known else "unspecified",
    }


def _save_with_keras(build: Any, out: Path, provenance: dict[str, Any]) -> None:
    ending = next(ending for ending in OUTPUTS if out.name.endswith(ending))
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as folder:
        whole = Path(folder) / f"model{ending}"
        model = build()
        if ending == ".keras":
            model.save(whole)
        else:
            model.save_weights(whole)
            with h5py.File(whole, "a") as file:
                file.attrs["keras_effnets"] = json.dumps(provenance)
        os.replace(whole, out)
