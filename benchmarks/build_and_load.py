"""Importing; building B0, and B7 from a weights file to a ready model.

The last two against keras.applications in the same run; the first as what it adds to
`import keras`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
from measure import alternate, machine, report

import keras_effnets
from keras_effnets.deferred import variables_by_path
from keras_effnets.weights_file import write_weights_file


def write_ours(path: Path) -> None:
    model = keras_effnets.EfficientNetB7(weights=None)
    variables = variables_by_path(model)
    write_weights_file(
        path,
        {name: tuple(variable.shape) for name, variable in variables.items()},
        {name: variable.numpy for name, variable in variables.items()},
        {
            "model": "efficientnet_b7",
            "profile": "torch",
            "preset": model.get_layer("preprocessing").preset.to_dict(),
        },
    )


def import_seconds() -> float:
    """What `import keras_effnets` adds to `import keras`, in a fresh process."""
    code = (
        "import time, keras; start = time.perf_counter(); import keras_effnets; "
        "print(time.perf_counter() - start)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    return float(process.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    print(machine())
    imports = [import_seconds() for _ in range(5)]
    print(f"import keras_effnets after keras: {statistics.median(imports):.2f} s")
    seconds = alternate(
        {
            "ours": lambda: keras_effnets.EfficientNetB0(weights=None),
            "keras.applications": lambda: keras.applications.EfficientNetB0(weights=None),
        },
        runs=runs,
    )
    report("build B0", seconds, "ours", "keras.applications")

    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "b7.safetensors", Path(folder) / "b7.weights.h5"
        write_ours(ours)
        keras.applications.EfficientNetB7(weights=None).save_weights(theirs)
        seconds = alternate(
            {
                "ours": lambda: keras_effnets.EfficientNetB7(weights=ours),
                "keras.applications": lambda: keras.applications.EfficientNetB7(weights=theirs),
            },
            runs=max(3, runs // 2),
        )
    report("load B7", seconds, "ours", "keras.applications")


if __name__ == "__main__":
    main()
