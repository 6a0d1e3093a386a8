"""The compiled forward pass, against keras.applications, batch 1 and 16, float32."""

import argparse
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
from measure import alternate, machine, report

import keras_effnets


def compiled(model: keras.Model, pictures: np.ndarray):
    """A job that runs the model's graph on `pictures`."""

    @tf.function
    def forward(x):
        return model(x, training=False)

    x = tf.constant(pictures)
    assert forward(x).dtype == tf.float32
    return lambda: forward(x).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=31)
    runs = parser.parse_args().runs
    print(machine())
    for name in ("EfficientNetB0", "MobileNetV2"):
        ours = getattr(keras_effnets, name)(weights=None)
        theirs = getattr(keras.applications, name)(weights=None)
        for batch in (1, 16):
            pictures = np.random.default_rng(0).uniform(0, 255, (batch, 224, 224, 3))
            pictures = pictures.astype(np.float32)
            scaled = pictures / 127.5 - 1 if name == "MobileNetV2" else pictures
            seconds = alternate(
                {
                    "ours": compiled(ours, pictures),
                    "keras.applications": compiled(theirs, scaled),
                },
                runs=runs if batch == 1 else max(5, runs // 3),
                warm_up=3,
            )
            report(f"{name}, batch {batch}", seconds, "ours", "keras.applications")


if __name__ == "__main__":
    main()
