"""The compiled forward pass, pixels to probabilities, against keras.applications.

Batch sizes 1 and 16, float32. keras.applications leaves the pixel scaling of MobileNetV2 to the
caller; here it is part of that graph, as it is of ours.
"""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from measure import alternate, machine, report

import keras_effnets

PREPARE = {
    "EfficientNetB0": keras.applications.efficientnet.preprocess_input,
    "MobileNetV2": keras.applications.mobilenet_v2.preprocess_input,
}


def compiled(model: keras.Model, pictures: np.ndarray, prepare=lambda x: x):
    """A job that runs the model's graph on images with pixels 0-255."""

    @tf.function
    def forward(x):
        return model(prepare(x), training=False)

    x = tf.constant(pictures)
    assert forward(x).dtype == tf.float32
    return lambda: forward(x).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=31)
    runs = parser.parse_args().runs
    print(machine())
    for name in PREPARE:
        ours = getattr(keras_effnets, name)(weights=None)
        theirs = getattr(keras.applications, name)(weights=None)
        for batch in (1, 16):
            pictures = np.random.default_rng(0).uniform(0, 255, (batch, 224, 224, 3))
            pictures = pictures.astype(np.float32)
            seconds = alternate(
                {
                    "ours": compiled(ours, pictures),
                    "keras.applications": compiled(theirs, pictures, PREPARE[name]),
                },
                runs=runs if batch == 1 else max(5, runs // 3),
                warm_up=3,
            )
            report(f"{name}, batch {batch}", seconds, "ours", "keras.applications")


if __name__ == "__main__":
    main()
