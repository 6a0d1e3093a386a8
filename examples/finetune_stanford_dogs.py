"""Fine-tunes a network on Stanford Dogs: 120 breeds, 12,000 training and 8,580 test images.

Usage: python examples/finetune_stanford_dogs.py [DATA] [--out RUN] [--model NAME]
       python examples/finetune_stanford_dogs.py --smoke

DATA is the folder with the unpacked official archives (`Images/` and `lists/`); by default
`tensorflow_datasets` downloads them (`pip install 'keras_effnets[dogs]'`). Stage one trains the
classifier on features that are computed once; stage two also trains the later half of the body.
RUN/report.md has the result. If the run is stopped, the same command resumes it.

The images are part of ImageNet's training set, on which the body was trained, so expect a higher
accuracy than on your own photographs of dogs.

`--smoke` runs everything in seconds on a few images of noise, without the data set.
"""

import argparse
import logging
import os
import tempfile

import keras_effnets

REAL = {
    "batch_size": 64,
    "head_epochs": 20,
    "tune_epochs": 8,
    "tune_since": 0.5,
    "tune_augment": ("flip", "crop", "randaugment", "cutmix"),
    "dropout": 0.3,
    "ema": 0.99,
}
SMOKE = {**REAL, "side": 64, "batch_size": 4, "head_epochs": 1, "tune_epochs": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", nargs="?", default="stanford_dogs", help="the archives' folder")
    parser.add_argument("--out", help="the run's folder; default: dogs_run")
    parser.add_argument("--model", default="efficientnet_lite0", help="a name of `list`")
    parser.add_argument("--smoke", action="store_true", help="run on images of noise")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.WARNING)
    if options.smoke:
        smoke(options.model, options.out or "dogs_smoke_run")
    else:
        train(options.data, options.model, options.out or "dogs_run", REAL)


def train(data: str, model: str, out: str, settings: dict) -> None:
    outcome = keras_effnets.finetune(data, model=model, out=out, classes=120, **settings)
    print(outcome.line)
    print(outcome.folder / "report.md")


def smoke(model: str, out: str) -> None:
    import tensorflow_datasets as tfds

    with tempfile.TemporaryDirectory() as home:
        # Keep the images of noise out of the user's cache of the data set.
        os.environ["KERAS_EFFNETS_HOME"] = home
        with tfds.testing.mock_data(num_examples=12):
            train("stanford_dogs", model, out, SMOKE)


if __name__ == "__main__":
    main()
