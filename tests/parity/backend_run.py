"""Runs networks on the backend that KERAS_BACKEND names, and prints their errors as JSON.

Usage: backend_run.py FOLDER, which holds a MODEL.pth and a MODEL.npz for each case.
"""

import json
import sys
from pathlib import Path

import compare
import keras
import numpy as np
import shrunken


def case_errors(weights: Path) -> dict[str, float]:
    with np.load(weights.with_suffix(".npz")) as stored:
        arrays = dict(stored)
    pictures, logits = arrays.pop("pictures"), arrays.pop("logits")
    model = shrunken.build(
        weights.stem,
        weights=weights,
        input_shape=(*pictures.shape[1:3], 3),
        classifier_activation=None,
    )
    return compare.errors(model, pictures, logits, arrays)


def main(folder: str) -> None:
    found = {path.stem: case_errors(path) for path in sorted(Path(folder).glob("*.pth"))}
    print(json.dumps({"backend": keras.backend.backend(), "errors": found}))


if __name__ == "__main__":
    main(sys.argv[1])
