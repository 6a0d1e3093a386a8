"""The shapes of each network's weights, and its multiply-adds, worked out once in a run."""

import json
from functools import partial
from pathlib import Path

from run_cache import made_once

from keras_effnets.analysis.multiply_adds import multiply_adds
from keras_effnets.models.registry import get_builder, model_info
from keras_effnets.plan.deferred import sketch, variables_by_path


def outlined(name: str) -> tuple[dict[str, tuple[int, ...]], int]:
    """By path the shapes, in order; and the multiply-adds at the network's own side."""

    def make(path: Path) -> None:
        side = model_info(name).side
        model = sketch(partial(get_builder(name), weights=None, input_shape=(side, side, 3)))
        shapes = {path: tuple(v.shape) for path, v in variables_by_path(model).items()}
        path.write_text(json.dumps([shapes, multiply_adds(model)]))

    shapes, operations = json.loads(made_once(("outline", name), make).read_text())
    return {path: tuple(shape) for path, shape in shapes.items()}, operations
