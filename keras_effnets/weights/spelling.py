"""Detects whose names a checkpoint's tensors have."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from keras_effnets.plan.config import ModelConfig
from keras_effnets.weights.names.rule import Foreign, Rule, Source
from weights_tools.formats.checkpoint import Checkpoint
from weights_tools.formats.tensors import CheckpointError


@dataclass(frozen=True, slots=True)
class Spelling:
    """A source of key names, and where in a file they are."""

    name: str
    """A key of the config's `spellings`."""
    source: Source
    rules: list[Rule]
    """The source's rules, with the file's prefix before the keys."""
    file: Foreign
    evidence: str
    """How many of each source's names are in the file, and what decided."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    name: str
    source: Source
    rules: list[Rule]
    prefixes: list[tuple[str, int]]
    """Each prefix with its number of names, most first."""

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
    """Finds the source of a checkpoint's names.

    Args:
        checkpoint: The checkpoint.
        config: The network's config.
        source: The source, if it is known.
        profile: Decides between sources with the same names.

    Raises:
        ValueError: For a source that the network's family does not have.
        CheckpointError: If the names are those of no source, or of more than one.
    """
    spellings = config.spellings
    if source is not None and source not in spellings:
        raise ValueError(
            f"source={source!r} is not one of {config.family}'s: {', '.join(spellings)}"
        )
    candidates = [_candidate(name, spellings[name], checkpoint, config) for name in spellings]
    evidence = ", ".join(f"{each.name} {each.found} of {len(each.rules)}" for each in candidates)
    best = max(candidates, key=lambda each: each.share)
    if source is not None:
        best = next(each for each in candidates if each.name == source)
    if best.share < 0.5:
        first = next(iter(checkpoint.tensors))
        raise CheckpointError(
            f"{checkpoint.path} is not a checkpoint of {config.name}"
            + (f" from {source}" if source else "")
            + f": of the expected names it has {evidence}. Its first name is {first!r}"
        )
    if source is None:
        alike = [each for each in candidates if each.share == best.share]
        best, reason = _decided(alike, checkpoint, config, profile)
        evidence += reason
    if len(best.prefixes) > 1 and best.prefixes[1][1] == best.found:
        places = " and ".join(repr(prefix) for prefix, _ in best.prefixes[:2])
        raise CheckpointError(f"{checkpoint.path} has two such networks, under {places}")
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
    """The name, and its rest inside each model that may contain the layer."""
    yield name
    while "/" in name:
        name = name.partition("/")[2]
        yield name


def _decided(
    alike: list[_Candidate], checkpoint: Checkpoint, config: ModelConfig, profile: str | None
) -> tuple[_Candidate, str]:
    """One of several candidates with equally many names, and why."""
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
        f"{checkpoint.path} may be from {' or '.join(each.name for each in alike)}, which use the "
        f"same names for different numbers: say which with {sources}; in Python, with {profiles}"
    )
