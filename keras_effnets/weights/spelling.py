"""Whose names a checkpoint's tensors have, and what shows it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keras_effnets.plan.config import ModelConfig
from keras_effnets.weights.names.rule import Foreign, Rule, Source
from weights_tools.formats.checkpoint import Checkpoint, CheckpointError


@dataclass(frozen=True, slots=True)
class Spelling:
    """A source, and the place of its names in a file."""

    name: str
    """A key of the config's `spellings`."""
    source: Source
    rules: list[Rule]
    """With the prefix before the source's keys."""
    file: Foreign
    evidence: str
    """How many of the names that each spelling expects are in the file, and what decided."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    source: Source
    rules: list[Rule]
    prefixes: list[tuple[str, int]]
    """And how many names are under each, most first."""

    @property
    def found(self) -> int:
        return self.prefixes[0][1]

    @property
    def share(self) -> float:
        return self.found / len(self.rules)


def find_spelling(
    checkpoint: Checkpoint,
    config: ModelConfig,
    *,
    source: str | None = None,
    profile: str | None = None,
) -> Spelling:
    """The spelling of a checkpoint's names.

    Args:
        checkpoint: With the tensors.
        config: Of the network.
        source: Name of the source, where it is known.
        profile: Decides between sources that have the same names.

    Raises:
        ValueError: For a source that the network's family has not.
        CheckpointError: If the names are no spelling of the network's, or of more than one.
    """
    spellings = config.spellings
    if source is not None and source not in spellings:
        raise ValueError(
            f"source={source!r} is none of those of {config.family}: {_list(spellings)}"
        )
    candidates = [_candidate(name, spellings[name], checkpoint, config) for name in spellings]
    evidence = ", ".join(f"{each.name} {each.found} of {len(each.rules)}" for each in candidates)
    best = max(candidates, key=lambda each: each.share)
    if source is not None:
        best = next(each for each in candidates if each.name == source)
    if best.share < 0.5:
        first = next(iter(checkpoint.tensors))
        raise CheckpointError(
            f"{checkpoint.path} is no checkpoint of {config.name}"
            + (f" from {source}" if source else "")
            + f": of the names expected, it has {evidence}. Its first is {first!r}"
        )
    if source is None:
        alike = [each for each in candidates if each.share == best.share]
        best, reason = _decided(alike, checkpoint, config, profile)
        evidence += reason
    if len(best.prefixes) > 1 and best.prefixes[1][1] == best.found:
        places = " and ".join(repr(prefix) for prefix, _ in best.prefixes[:2])
        raise CheckpointError(f"{checkpoint.path} holds two networks alike, under {places}")
    prefix = best.prefixes[0][0]
    rules = [rule._replace(source=prefix + rule.source) for rule in best.rules]
    return Spelling(best.name, best.source, rules, Foreign(checkpoint, prefix, config), evidence)


def _candidate(
    name: str, source: Source, checkpoint: Checkpoint, config: ModelConfig
) -> _Candidate:
    rules = list(source.rules(config))
    names = {rule.source for rule in rules}
    prefixes = Counter(
        tensor.removesuffix(tail)
        for tensor in checkpoint.tensors
        for tail in _tails(tensor)
        if tail in names
    )
    return _Candidate(name, source, rules, prefixes.most_common() or [("", 0)])


def _tails(name: str) -> Iterable[str]:
    """The name, and what is left of it inside each model that the layer may lie in."""
    yield name
    while "/" in name:
        name = name.partition("/")[2]
        yield name


def _decided(
    alike: list[_Candidate], checkpoint: Checkpoint, config: ModelConfig, profile: str | None
) -> tuple[_Candidate, str]:
    """One of the candidates that have equally many names, and why."""
    if all(each.source is alike[0].source for each in alike):
        return alike[0], ""
    of_profile = [each for each in alike if each.source.profile == profile]
    if len(of_profile) == 1:
        return of_profile[0], f"; by profile {profile!r}"
    signed = []
    for each in of_profile or alike:
        reason = each.source.sign(Foreign(checkpoint, each.prefixes[0][0], config))
        if reason is not None:
            signed.append((each, f"; {each.name} by {reason}"))
    if len(signed) == 1:
        return signed[0]
    sources = " or ".join(f"--source {each.name}" for each in alike)
    profiles = " or ".join(f"profile={each.source.profile!r}" for each in alike)
    raise CheckpointError(
        f"{checkpoint.path} can be of {' or '.join(each.name for each in alike)}, which have the "
        f"same names and other numbers: say which, by {sources}; in Python, by {profiles}"
    )


def _list(spellings: Mapping[str, Source]) -> str:
    return ", ".join(spellings)
