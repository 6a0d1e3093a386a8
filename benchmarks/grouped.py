"""ResNeXt-50's compiled forward pass at batch size 16: our grouped convolution against its peers.

The peers are the same graph with Keras's own `groups=` and torchvision's eager network in the
channels-last layout. All run in float32 with two threads.
"""

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
import tensorflow as tf
import torch
from measure import alternate, machine, report

import keras_effnets
from keras_effnets.layers import GroupedConv2D

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from torchvision_import import import_torchvision

THREADS = 2
BATCH = 16


def compiled(model: keras.Model, pictures: np.ndarray):
    @tf.function
    def forward(x):
        return model(x, training=False)

    x = tf.constant(pictures)
    assert forward(x).dtype == tf.float32
    return lambda: forward(x).numpy()


def with_keras_groups(pictures: np.ndarray):
    """The same network, traced with Keras's grouped convolution in place of ours."""
    ours = GroupedConv2D.convolution_op
    GroupedConv2D.convolution_op = keras.layers.Conv2D.convolution_op
    try:
        return compiled(keras_effnets.ResNeXt50_32x4d(weights=None), pictures)
    finally:
        GroupedConv2D.convolution_op = ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    torch.set_num_threads(THREADS)
    print(machine())
    pictures = np.random.default_rng(0).uniform(0, 255, (BATCH, 224, 224, 3)).astype("float32")
    network = import_torchvision().models.resnext50_32x4d().eval()
    network = network.to(memory_format=torch.channels_last)
    given = torch.from_numpy(pictures.transpose(0, 3, 1, 2)).contiguous(
        memory_format=torch.channels_last
    )

    def torchvision():
        with torch.inference_mode():
            return network(given).numpy()

    seconds = alternate(
        {
            "ours": compiled(keras_effnets.ResNeXt50_32x4d(weights=None), pictures),
            "Keras's groups": with_keras_groups(pictures),
            "torchvision": torchvision,
        },
        runs=runs,
        warm_up=2,
    )
    for peer in ("Keras's groups", "torchvision"):
        report(f"ResNeXt50_32x4d, batch {BATCH}", seconds, "ours", peer)


if __name__ == "__main__":
    main()
