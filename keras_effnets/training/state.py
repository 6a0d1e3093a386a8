"""Where a run stands, in one file: enough to go on after a power cut as if nothing had been.

The file is replaced whole after every epoch, so that a kill at any moment, inside the writing
too, leaves the state of the last finished epoch.
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

Values = list[NDArray[Any]]


@dataclass(slots=True)
class Progress:
    """How far a run has come.

    Attributes:
        stage: The stage that the last finished epoch belongs to.
        epoch: How many epochs of that stage are finished.
        over: Whether that stage has ended.
        best_loss: The lowest validation loss of any epoch so far.
        best_stage: The stage of that epoch.
        waited: Epochs of this stage since its own lowest validation loss.
        stage_loss: That loss.
        history: One record an epoch, what `metrics.csv` shows.
    """

    stage: str = ""
    epoch: int = 0
    over: bool = False
    best_loss: float = float("inf")
    best_stage: str = ""
    waited: int = 0
    stage_loss: float = float("inf")
    history: list[dict[str, Any]] = field(default_factory=list)


def values_of(variables: Sequence[Any]) -> Values:
    """Copies of the variables' values, in order."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: Sequence[Any], values: Values) -> None:
    """Gives each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def write_state(path: Path, progress: Progress, groups: Mapping[str, Values]) -> None:
    """Replaces the file at `path`; the values are on the disk before the old file goes.

    Args:
        path: Of the file.
        progress: How far the run is.
        groups: Lists of arrays by name: the model's, the optimizer's, the best ones.
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


def read_state(path: Path) -> tuple[Progress, dict[str, Values]] | None:
    """What `write_state` wrote, or None where there is no such file.

    Raises:
        ValueError: If the file is something else.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            progress = Progress(**json.loads((file.metadata() or {})["progress"]))
            keys = [key.rpartition("/") for key in file.keys()]  # noqa: SIM118 (is no dict)
            groups: dict[str, Values] = {}
            for group, _, index in sorted(keys, key=lambda key: (key[0], int(key[2]))):
                groups.setdefault(group, []).append(file.get_tensor(f"{group}/{index}"))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not the state of a run ({error}); remove it") from error
    return progress, groups
