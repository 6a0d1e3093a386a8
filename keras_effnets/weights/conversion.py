"""Converts a foreign checkpoint to one network's weights: each tensor and each variable once."""

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from keras_effnets.images.preset import Preset
from keras_effnets.plan.config import ModelConfig
from keras_effnets.plan.deferred import Shapes, Values
from keras_effnets.weights.foreign_head import ForeignHead, find_head
from keras_effnets.weights.match import AUXILIARY
from keras_effnets.weights.names.rule import Rule, transform, transformed_shape
from keras_effnets.weights.spelling import find_spelling
from weights_tools.formats.checkpoint import read_checkpoint
from weights_tools.formats.tensors import CheckpointError

_CLASSIFIER = "classifier/"
_COUNTER = "num_batches_tracked"
_SHOWN = 3
"""How many tensors with NaN or infinity are named."""


class Conversion:
    """A checkpoint, read as one network's weights.

    Args:
        path: The checkpoint.
        config: The network's config.
        source: The source of the key names, a key of the config's `spellings`; None detects it.
        profile: Decides between sources with the same names.
        include_top: Whether to convert the classifier, if there is one.
        allow_nonfinite: Whether to accept NaN and infinity.

    Attributes:
        checkpoint: The checkpoint that was read.
        tensors: Its tensors.
        rules: Which tensor becomes which variable.
        source: The source of the key names.
        profile: The profile that the source's networks were trained in.
        epsilon: The batch norms' epsilon, if it is not the profile's.
        evidence: How many of each source's names are in the file.
        preset: How the network expects its images; None if the profile says everything.
        preset_origin: Where the preset comes from.
        left_out: Keys left out on purpose; known after `values`.
        cast: Types of the tensors that are not float32, by key; known after `values`.

    Raises:
        CheckpointError: If the file cannot be read, or its keys are not this network's.
        ValueError: For an unknown source, or a preset in the file that cannot be followed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        config: ModelConfig,
        *,
        source: str | None = None,
        profile: str | None = None,
        include_top: bool = True,
        allow_nonfinite: bool = False,
    ) -> None:
        self.checkpoint = read_checkpoint(path, verify=True)
        self.tensors = self.checkpoint.tensors
        self.left_out: list[str] = []
        self.cast: dict[str, str] = {}
        spelling = find_spelling(self.checkpoint, config, source=source, profile=profile)
        self.source, self.evidence = spelling.name, spelling.evidence
        self.profile, self.epsilon = spelling.source.profile, spelling.source.epsilon
        self._heads = tuple(f"{layer}/" for layer in config.head)
        self._config, self._ignored = config, spelling.source.ignored
        self._prefix = spelling.file.prefix
        self._allow_nonfinite, self._include_top = allow_nonfinite, include_top
        self._head: ForeignHead = find_head(self.checkpoint, spelling.rules)
        self.rules: list[Rule] = self._head.rules
        self._spelled = {rule.source for rule in self.rules}
        prepared = spelling.source.preset(spelling.file)
        self.preset = prepared.preset if prepared else None
        self.preset_origin = prepared.origin if prepared else f"the {self.profile} profile"

    @property
    def classes(self) -> int:
        """The classifier's number of outputs; 0 if there is none or it is left out.

        Raises:
            CheckpointError: If the classifier cannot be converted.
        """
        if not self._include_top:
            return 0
        if self._head.problem:
            raise CheckpointError(self._head.problem)
        return self._head.classes

    @property
    def counters(self) -> dict[str, int]:
        """How many batches each of PyTorch's batch norms had counted, by our norm's path."""
        found = {}
        for rule in self.rules:
            if rule.target.endswith("/gamma"):
                counter = self.tensors.get(rule.source.removesuffix("weight") + _COUNTER)
                if counter is not None and counter.size == 1:
                    found[rule.target.removesuffix("/gamma")] = int(counter.reshape(())[()])
        return found

    @property
    def head_origin(self) -> str:
        """Where the classifier comes from, or why there is none."""
        return self._head.origin if self._include_top else "left out, as asked"

    @property
    def place(self) -> str:
        """Where in the file the network was; empty if nothing surrounded it."""
        places = (self.checkpoint.wrapper, self.checkpoint.prefix, self._prefix)
        return " ".join(filter(None, places))

    def config(self, preset: Preset | None = None) -> ModelConfig:
        """The network's config as the checkpoint requires it, with another preset if given."""
        config = replace(
            self._config, profile=self.profile, preset=preset or self.preset or self._config.preset
        )
        if self.epsilon is None:
            return config
        conventions = replace(config.conventions, epsilon=self.epsilon)
        # The checker wants every field to be of the type of the one that is named at run time.
        return replace(config, **{self.profile: conventions})  # type: ignore[arg-type]

    def values(self, shapes: Shapes, fresh_classifier: bool = False) -> Values:
        """A function for each variable that returns its value, transposed on demand.

        Args:
            shapes: The network's variables, by path.
            fresh_classifier: Whether to leave out a classifier of another size.

        Raises:
            CheckpointError: Lists every tensor that is missing, unexpected, mis-shaped or of
                another type, or names some that are not finite.
        """
        rules = self.rules
        without = self._layers_left(shapes, fresh_classifier)
        headless = bool(without)
        rules = [rule for rule in rules if rule.target.partition("/")[0] not in without]
        kept = {rule.source for rule in rules}
        self.left_out = [
            key for key in self.tensors if key not in kept and self._may_leave(key, headless)
        ]
        given = {rule.target for rule in rules}
        ungiven = [
            target
            for target in shapes
            if target not in given and target.partition("/")[0] not in without
        ]
        unexpected = [key for key in self.tensors if key not in {*kept, *self.left_out}]
        problems = [
            *self._problems(rules, shapes),
            *(f"without a tensor: {target} {shapes[target]}" for target in ungiven),
            *map("unexpected: {}".format, unexpected),
        ]
        if problems:
            if unexpected and not headless and self.checkpoint.layers:
                problems.append(
                    "(--no-top, in Python include_top=False, leaves out layers after the network)"
                )
            raise CheckpointError(
                f"{self.checkpoint.path} does not fit the model:\n  " + "\n  ".join(problems)
            )
        if not self._allow_nonfinite:
            self._check_finite(rules)
        self.cast = {
            rule.source: tensor.dtype.name
            for rule in rules
            if (tensor := self.tensors[rule.source]).dtype.name != "float32"
        }
        return {r.target: partial(_value, r.kind, self.tensors[r.source]) for r in rules}

    def _layers_left(self, shapes: Shapes, fresh: bool) -> tuple[str, ...]:
        """Layers without values from the file: none, the classifiers, or the whole head."""
        bias = next(
            (s for n, s in shapes.items() if n.startswith(_CLASSIFIER) and len(s) == 1), None
        )
        if bias is None:
            return self._config.head
        if fresh and bias != (self.classes,):
            whole = not self._include_top or self._head.tensors.isdisjoint(self.tensors)
            return self._config.head if whole else ("classifier", *self._auxiliary_left(shapes))
        if not self.classes:
            raise CheckpointError(
                f"{self.checkpoint.path} has no classifier: pass include_top=False, or classes= "
                f"other than {self._config.classes} to start with an untrained one"
            )
        return tuple(self._auxiliary_left(shapes)) if fresh else ()

    def _auxiliary_left(self, shapes: Shapes) -> Iterator[str]:
        """Auxiliary classifiers that are missing from the file or have another size."""
        sources = {rule.target: rule.source for rule in self.rules}
        for layer in AUXILIARY:
            bias = f"{layer}/dense/bias"
            tensor = self.tensors.get(sources.get(bias, ""))
            if bias in shapes and (tensor is None or tensor.shape != shapes[bias]):
                yield layer

    def _may_leave(self, key: str, headless: bool) -> bool:
        """Whether a tensor without a variable may be left out."""
        if key.startswith(self._prefix) and key.endswith(self._ignored):
            return True
        of_head = (rule.source for rule in self.rules if rule.target.startswith(self._heads))
        return headless and (key in self._head.tensors or key in of_head)

    def _problems(self, rules: list[Rule], shapes: Shapes) -> Iterator[str]:
        for rule in rules:
            if rule.source not in self.tensors:
                yield f"missing: {rule.source} (for {rule.target} {shapes[rule.target]})"
                continue
            tensor = self.tensors[rule.source]
            if transformed_shape(rule.kind, tensor.shape) != shapes[rule.target]:
                yield (
                    f"mis-shaped: {rule.source} is {tensor.shape}, but {rule.target} is "
                    f"{shapes[rule.target]}"
                )
            elif not _is_float(tensor.dtype):
                yield f"not floats: {rule.source} has type {tensor.dtype.name}"

    def _check_finite(self, rules: list[Rule]) -> None:
        keys = [rule.source for rule in rules]
        if wrong := [key for key in keys if not np.isfinite(_float32(self.tensors[key])).all()]:
            more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            raise CheckpointError(
                f"{self.checkpoint.path} has NaN or infinity in {', '.join(wrong[:_SHOWN])}{more}: "
                "--allow-nonfinite, in Python allow_nonfinite=True, accepts them"
            )


def _is_float(dtype: np.dtype) -> bool:
    # NumPy does not count ml_dtypes' types as floats.
    return dtype.kind == "f" or dtype.name.startswith(("bfloat", "float"))


def _float32(tensor: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # a float64 may become infinite: checked
        return tensor.astype(np.float32, copy=False)


def _value(kind: str, tensor: np.ndarray) -> np.ndarray:
    return _float32(transform(kind, tensor))
