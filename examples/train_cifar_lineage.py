"""Trains small networks on small images and plots accuracy against parameters.

Usage: python examples/train_cifar_lineage.py [FOLDER] [--side 8] [--out FILE.png]

These are the networks published for CIFAR, from Network in Network to DenseNet-BC, some of them
narrower or shallower. FOLDER holds one folder of images a class, or `train` and `test` folders of
them; the default is scikit-learn's handwritten digits.
"""

import argparse
import tempfile
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import load_digits

import keras_effnets as ke
from keras_effnets import data

LINEAGE = {
    "Network in Network": (ke.NiNCIFAR, {"widths": ((96, 64), (96, 96), (96,)), "dropout": 0}),
    "plain, 20 layers": (ke.ResNet20CIFAR, {"skip": False}),
    "ResNet-20": (ke.ResNet20CIFAR, {}),
    "Stochastic Depth, 110 layers": (ke.StochasticDepthResNet110, {"survival": 0.5}),
    "Wide ResNet-10-2": (ke.WideResNetCIFAR, {"depth": 10, "widen": 2}),
    "ResNeXt-29, 4x4d": (ke.ResNeXt29CIFAR, {"cardinality": 4, "base_width": 4}),
    "DenseNet-BC, 22 layers": (ke.DenseNetCIFAR, {"depth": 22, "growth_rate": 12}),
}


def write_digits(folder: str) -> str:
    digits = load_digits()
    for index, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        path = Path(folder, str(label), f"{index}.png")
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.minimum(pixels * 16, 255).astype(np.uint8)).save(path)
    return folder


def arrays(pictures: data.Pictures, side: int) -> tuple[np.ndarray, np.ndarray]:
    batches = data.batches(pictures, ke.Preset(crop=side, resize=side), batch_size=256)
    pixels, targets = zip(*batches.as_numpy_iterator(), strict=True)
    return np.concatenate(pixels), np.concatenate(targets)


def train(model: keras.Model, pictures: tuple[np.ndarray, np.ndarray], epochs: int) -> None:
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, epochs * -(-len(pictures[0]) // 64))
    optimizer, loss = keras.optimizers.AdamW(schedule), "categorical_crossentropy"
    # For a deep network XLA's compilation takes longer than it saves.
    model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)
    model.fit(*pictures, batch_size=64, epochs=epochs, verbose=0)


parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("folder", nargs="?", help="class folders; default: handwritten digits")
parser.add_argument("--side", type=int, default=8, help="image size, pixels")
parser.add_argument("--out", default="lineage.png", help="the plot")
parser.add_argument("--quick", action="store_true", help="two networks, one epoch")
options = parser.parse_args()
keras.utils.set_random_seed(0)
with tempfile.TemporaryDirectory() as digits:
    splits = data.open_data(options.folder or write_digits(digits))
    test, rest = (splits.test, splits.train) if splits.test else data.split(splits.train, 0.25, 0)
    learnt, judged = arrays(rest, options.side), arrays(test, options.side)
common = {"weights": None, "classes": len(splits.classes), "input_shape": learnt[0].shape[1:]}
axes = (figure := Figure(figsize=(8, 5), dpi=120, layout="constrained")).subplots()
for name, (build, variant) in list(LINEAGE.items())[:: 4 if options.quick else 1]:
    model = build(**common, **variant)
    train(model, learnt, 1 if options.quick else 5)
    share = model.evaluate(*judged, batch_size=256, verbose=0)[1]
    parameters = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    print(line := f"{name}: {share:.1%} of {len(test)}, {parameters:,} parameters", flush=True)
    axes.semilogx(parameters, 100 * share, "o", label=line)
axes.legend(frameon=False, fontsize=8)
axes.set(xlabel="parameters", ylabel="test accuracy, %")
figure.savefig(options.out)
