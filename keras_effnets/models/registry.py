"""All networks by name."""

import csv
import difflib
import fnmatch
import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import keras

from keras_effnets import models
from keras_effnets.plan.config import ModelConfig, Paper
from keras_effnets.weights.catalog import WEIGHTS, WeightsInfo


def _in_history(config: ModelConfig) -> tuple[Any, ...]:
    """Sort key: the year, the family, then the name, with 18 before 101."""
    parts = re.split(r"(\d+)", config.name)
    return (
        config.paper.year,
        config.family,
        [int(part) if part.isdigit() else part for part in parts],
    )


_BUILDERS = {
    builder.config.name: builder
    for builder in sorted(
        (b for b in (getattr(models, name) for name in models.__all__) if hasattr(b, "config")),
        key=lambda builder: _in_history(builder.config),
    )
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """The facts about one network."""

    name: str
    builder: str
    """Name of the public builder."""
    family: str
    config: ModelConfig
    paper: Paper
    weights: Mapping[str, WeightsInfo]
    """Published sets by name; `weights="imagenet"` takes the first."""

    @property
    def parameters(self) -> int:
        """Trainable parameters, with the builder's default top."""
        return _counts()[self.name][0]

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds for one image of `side` × `side` pixels."""
        return _counts()[self.name][1]

    @property
    def side(self) -> int:
        """Image side of the default weights, or of the paper without weights, pixels."""
        published = next(iter(self.weights.values()), None)
        return published.preset.crop if published else self.config.side


@functools.cache
def _counts() -> dict[str, tuple[int, int]]:
    """Parameters and multiply-adds by name, from the table beside this module.

    `analysis.costs.model_cost` counts them; tests compare the two.
    """
    table = files(__package__).joinpath("model_counts.csv").read_text("utf-8")
    return {
        row["model"]: (int(row["parameters"]), int(row["multiply_adds"]))
        for row in csv.DictReader(table.splitlines())
    }


def list_models(pattern: str = "*") -> list[str]:
    """Returns all networks' names, or those that match a shell pattern such as `"*lite*"`."""
    return [name for name in _BUILDERS if fnmatch.fnmatch(name, pattern)]


def families() -> dict[str, list[str]]:
    """Names of networks by family, in the registry's order."""
    found: dict[str, list[str]] = {}
    for name, builder in _BUILDERS.items():
        found.setdefault(builder.config.family, []).append(name)
    return found


def resolve(wanted: Sequence[str]) -> list[str]:
    """Names of networks, each once and in the registry's order; of all networks for an empty list.

    Args:
        wanted: Names (`"resnet50"`), families in any case (`"ResNet"`), or shell patterns
            (`"*lite*"`).

    Raises:
        ValueError: An entry matches no network; the message suggests the nearest.
    """
    by_family = families()
    members = {family.casefold(): names for family, names in by_family.items()}
    chosen: set[str] = set()
    for each in wanted:
        found = [each] if each in _BUILDERS else members.get(each.casefold()) or list_models(each)
        if not found:
            raise ValueError(
                f"{each!r} is not a model, a family or a pattern that matches a model"
                + (suggestion(each, [*_BUILDERS, *by_family]) or "; `keras-effnets list` shows all")
            )
        chosen.update(found)
    return [name for name in _BUILDERS if not wanted or name in chosen]


def create_model(name: str, /, **options: Any) -> keras.Model:
    """Builds a network by name; `options` are those of its builder.

    Raises:
        ValueError: The name is unknown, or the builder refuses an option.
    """
    return get_builder(name)(**options)


def model_info(name: str) -> ModelInfo:
    """Returns the facts about one network.

    Raises:
        ValueError: The name is unknown.
    """
    builder = get_builder(name)
    config = builder.config
    return ModelInfo(
        name=name,
        builder=builder.__name__,
        family=config.family,
        config=config,
        paper=config.paper,
        weights={info.name: info for info in WEIGHTS.get(name, ())},
    )


def get_builder(name: str) -> Any:
    """Returns the public builder of the network `name`; its `config` has the defaults.

    Raises:
        ValueError: The name is unknown; the message suggests the closest names.
    """
    if name not in _BUILDERS:
        raise ValueError(
            f"{name!r} is not the name of a model"
            + (suggestion(name, _BUILDERS) or f"; there are {', '.join(_BUILDERS)}")
        )
    return _BUILDERS[name]


def suggestion(word: str, known: Iterable[str]) -> str:
    """Returns `"; did you mean ...?"` with up to three close names, or an empty string."""
    spelled: dict[str, str] = {}
    for each in known:
        spelled.setdefault(_bare(each), each)
    near = difflib.get_close_matches(_bare(word), spelled, n=3, cutoff=0.6)
    return f"; did you mean {', '.join(spelled[each] for each in near)}?" if near else ""


def _bare(word: str) -> str:
    """Returns the word in lower case, with only letters and digits."""
    return "".join(character for character in word.casefold() if character.isalnum())
