"""The state of a run in one file, enough to resume it bit for bit after a power cut.

The file is replaced as a whole after every epoch. A kill at any moment, even during the write,
leaves the state of the last finished epoch.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from weights_tools.formats.atomic import replacing

VariableValues = list[NDArray[Any]]
"""The values of a list of variables, in order."""


@dataclass(slots=True)
class RunProgress:
    """How far a run has come.

    Attributes:
        stage: The stage of the last finished epoch.
        epoch: The number of finished epochs in that stage.
        over: Whether that stage has ended.
        best_loss: The lowest validation loss so far.
        best_stage: The stage with that loss.
        waited: The number of epochs since this stage's lowest validation loss.
        stage_loss: This stage's lowest validation loss.
        history: One record for each epoch, as in `metrics.csv`.
    """

    stage: str = ""
    epoch: int = 0
    over: bool = False
    best_loss: float = float("inf")
    best_stage: str = ""
    waited: int = 0
    stage_loss: float = float("inf")
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class RunState:
    """The state that a run carries from epoch to epoch, saved in `state.safetensors`."""

    progress: RunProgress
    best: VariableValues
    """The model's values at the best epoch so far, possibly one of the previous stage."""


def values_of(variables: Sequence[Any]) -> VariableValues:
    """Copies the variables' values, in order."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: Sequence[Any], values: VariableValues) -> None:
    """Assigns each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def write_state(path: Path, progress: RunProgress, groups: Mapping[str, VariableValues]) -> None:
    """Replaces the file at `path` once the new values are on the disk.

    Args:
        path: The state file.
        progress: The run's progress.
        groups: The values by name: "model", "optimizer" and "best".
    """
    tensors = {
        f"{group}/{index}": np.require(value, requirements="C")
        for group, values in groups.items()
        for index, value in enumerate(values)
    }
    content = safetensors.numpy.save(tensors, {"progress": json.dumps(asdict(progress))})
    with replacing(path) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def read_state(path: Path) -> tuple[RunProgress, dict[str, VariableValues]] | None:
    """Reads what `write_state` wrote; None if the file does not exist.

    Raises:
        ValueError: If the file is not the state of a run.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            progress = RunProgress(**json.loads((file.metadata() or {})["progress"]))
            keys = [key.rpartition("/") for key in file.keys()]  # noqa: SIM118 (not a dict)
            groups: dict[str, VariableValues] = {}
            for group, _, index in sorted(keys, key=lambda key: (key[0], int(key[2]))):
                groups.setdefault(group, []).append(file.get_tensor(f"{group}/{index}"))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: not the state of a run ({error}); delete it to start again"
        ) from error
    return progress, groups
