"""Time to import the package, to build B0, and to load large networks from weights files.

Building and loading alternate with keras.applications; importing is measured after `import keras`.
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
from keras_effnets.plan.deferred import variables_by_path
from weights_tools.formats.our_format import write_weights_file

NETWORKS = {
    "EfficientNetB7": keras.applications.EfficientNetB7,
    "DenseNet201": keras.applications.DenseNet201,
    "ResNet152": keras.applications.ResNet152,
    "EfficientNetV2L": keras.applications.EfficientNetV2L,
}


def write_ours(name: str, path: Path) -> None:
    model = getattr(keras_effnets, name)(weights=None)
    variables = variables_by_path(model)
    write_weights_file(
        path,
        {name: tuple(variable.shape) for name, variable in variables.items()},
        {name: variable.numpy for name, variable in variables.items()},
        {
            "model": model.name,
            "profile": "torch",
            "preset": model.get_layer("preprocessing").preset.to_dict(),
        },
    )


def load_both(name: str, runs: int) -> None:
    """Times loading a network from our format and from keras.applications' format."""
    builder, peer = getattr(keras_effnets, name), NETWORKS[name]
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours.safetensors", Path(folder) / "theirs.weights.h5"
        write_ours(name, ours)
        peer(weights=None).save_weights(theirs)
        seconds = alternate(
            {
                "ours": lambda: builder(weights=ours),
                "keras.applications": lambda: peer(weights=theirs),
            },
            runs=runs,
        )
    report(f"load {name}", seconds, "ours", "keras.applications")


def import_seconds() -> float:
    """Seconds of `import keras_effnets` after `import keras`, in a fresh process."""
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

    for name in NETWORKS:
        load_both(name, max(3, runs // 2))


if __name__ == "__main__":
    main()
