"""Fine-tunes EfficientNet-Lite0 on photographs of food or anything else.

Usage: python examples/finetune_food.py DATA [--out RUN] [--model NAME] [--quick]

DATA holds one folder of images a class (`DATA/pizza/1.jpg`), or `train` and `test` folders of them.
RUN/report.md has the result. If the run is stopped, the same command resumes it.
"""

import argparse
import logging

import keras_effnets

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
parser.add_argument("data", help="the folder of images")
parser.add_argument("--out", default="food_run", help="the run's folder")
parser.add_argument("--model", default="efficientnet_lite0", help="a name of `keras-effnets list`")
parser.add_argument("--quick", action="store_true", help="small images, three epochs of the head")
options = parser.parse_args()

logging.basicConfig(level=logging.INFO, format="%(message)s")
logging.getLogger("absl").setLevel(logging.WARNING)

outcome = keras_effnets.finetune(
    options.data,
    model=options.model,
    out=options.out,
    **({"side": 64, "head_epochs": 3, "tune_epochs": 0} if options.quick else {}),
)

print(outcome.line)
rows = zip(outcome.pictures.paths, outcome.pictures.targets, outcome.predicted, strict=True)
for path, target, predicted in rows:
    if target != predicted:
        classes = outcome.pictures.classes
        print(f"{path}: predicted {classes[predicted]}, true {classes[target]}")
print(outcome.folder / "report.md")
