"""A training step at batch size 16 and 224 pixels, against keras.applications and torchvision.

All train the whole network in float32 by SGD with momentum on two threads; torchvision uses the
channels-last layout. Warm-up steps are not counted.
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

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from torchvision_import import import_torchvision

THREADS, BATCH, SIDE, CLASSES = 2, 16, 224, 1000
NETWORKS = {"MobileNetV2": "mobilenet_v2", "EfficientNetB0": "efficientnet_b0"}


def keras_step(model: keras.Model, pictures: np.ndarray, targets: np.ndarray):
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
        jit_compile=False,
    )
    return lambda: model.train_on_batch(pictures, targets)


def torch_step(network: torch.nn.Module, pictures: np.ndarray, targets: np.ndarray):
    network = network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9)
    x = torch.from_numpy(pictures.transpose(0, 3, 1, 2)).contiguous(
        memory_format=torch.channels_last
    )
    y = torch.from_numpy(targets)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    torch.set_num_threads(THREADS)
    print(machine())
    generator = np.random.default_rng(0)
    pictures = generator.uniform(-1, 1, (BATCH, SIDE, SIDE, 3)).astype("float32")
    targets = generator.integers(0, CLASSES, BATCH)
    for name, theirs in NETWORKS.items():
        ours = getattr(keras_effnets, name)(weights=None)
        seconds = alternate(
            {
                "ours": keras_step(ours, pictures, targets),
                "keras.applications": keras_step(
                    getattr(keras.applications, name)(weights=None), pictures, targets
                ),
                "torchvision": torch_step(
                    getattr(import_torchvision().models, theirs)(), pictures, targets
                ),
            },
            runs=runs,
            warm_up=2,
        )
        for peer in ("keras.applications", "torchvision"):
            report(f"{name}, training step, batch {BATCH}", seconds, "ours", peer)


if __name__ == "__main__":
    main()
