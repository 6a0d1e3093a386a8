"""Runs a network on the backend that KERAS_BACKEND names, and prints its errors as JSON.

Usage: backend_run.py MODEL WEIGHTS REFERENCE.npz
"""

import json
import sys

import compare
import keras
import numpy as np

import keras_effnets


def main(name: str, weights: str, reference: str) -> None:
    with np.load(reference) as stored:
        arrays = dict(stored)
    pictures, logits = arrays.pop("pictures"), arrays.pop("logits")
    model = keras_effnets.create_model(
        name,
        weights=weights,
        input_shape=(*pictures.shape[1:3], 3),
        classifier_activation=None,
    )
    found = compare.errors(model, pictures, logits, arrays)
    print(json.dumps({"backend": keras.backend.backend(), "errors": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
