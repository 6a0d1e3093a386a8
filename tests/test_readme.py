"""The README's code runs, and its table is the registry's."""

import os
import re
from pathlib import Path

import keras
import numpy as np
import photographs
import pretrained

import keras_effnets

README = Path(__file__).parents[1] / "README.md"


def model_table() -> str:
    rows = [
        "| model | builder | year | parameters | multiply-adds | side | top-1 % | weights |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in keras_effnets.list_models():
        info = keras_effnets.model_info(name)
        best = next(iter(info.weights.values()), None)
        top1 = "-" if best is None or best.top1 is None else f"{best.top1:.1f}"
        sets = ", ".join(f"`{weights}`" for weights in info.weights) or "-"
        rows.append(
            f"| `{name}` | `{info.builder}` | {info.paper.year} | {info.parameters:,} | "
            f"{info.multiply_adds / 1e6:,.0f} M | {info.side} | {top1} | {sets} |"
        )
    return "\n".join(rows)


def test_the_table_of_models_is_the_registrys():
    assert model_table() in README.read_text(), f"the table should be\n{model_table()}"


def test_every_block_of_python_runs(tmp_path, monkeypatch):
    cat = photographs.paths()[0]
    checkpoint = pretrained.checkpoint()
    (tmp_path / "cat.png").write_bytes(cat.read_bytes())
    monkeypatch.chdir(tmp_path)
    scope = {
        "keras": keras,
        "checkpoint": checkpoint,
        "pictures": np.random.default_rng(0).uniform(0, 255, (6, 224, 224, 3)),
        "labels": np.array([0, 1, 2, 0, 1, 2]),
    }
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(blocks) >= 7
    for block in blocks:
        exec(compile(block, str(README), "exec"), scope)
    assert os.path.isfile("three_classes.keras")
    assert os.path.isfile("served/lite0/1/saved_model.pb")
    assert scope["predictor"].engine == "litert"
    assert scope["heat"].shape == (224, 224)
