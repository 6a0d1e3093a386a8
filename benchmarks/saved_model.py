"""Our SavedModel against that of keras.applications and `model.export`.

Each is loaded in its own process, which imports only TensorFlow and calls the default signature;
the two processes take turns.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

NAMES = ("EfficientNetB0", "MobileNetV2")

SERVED = """
import sys, time
import numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(2)
folder, batch = sys.argv[1], int(sys.argv[2])
model = tf.saved_model.load(folder)
call = model.signatures["serving_default"]
(name,) = call.structured_input_signature[1]
pictures = np.random.default_rng(0).uniform(0, 255, (batch, 224, 224, 3)).astype(np.float32)
x = tf.constant(pictures)
def once():
    start = time.perf_counter()
    [value.numpy() for value in call(**{name: x}).values()]
    return time.perf_counter() - start
[once() for _ in range(5)]
print("ready", flush=True)
for line in sys.stdin:
    print(once(), flush=True)
"""


def write(folder: Path, name: str) -> dict[str, Path]:
    """Writes both SavedModels of one network with random weights."""
    import keras

    import keras_effnets
    from keras_effnets.export import export_saved_model

    theirs = getattr(keras.applications, name)(weights=None)
    if name == "MobileNetV2":  # its pixels are scaled outside
        pixels = keras.Input((224, 224, 3))
        theirs = keras.Model(pixels, theirs(keras.layers.Rescaling(1 / 127.5, -1)(pixels)))
    theirs.export(folder / "theirs" / name, verbose=False)
    ours = getattr(keras_effnets, name)(weights=None)
    return {
        "ours": export_saved_model(ours, folder / "ours" / name),
        "keras.applications": folder / "theirs" / name,
    }


def serve(folder: Path, batch: int) -> tuple[subprocess.Popen, object]:
    """Starts a process that runs the model once for each line on its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVED, str(folder), str(batch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"

    def once() -> float:
        process.stdin.write("\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    return process, once


def main() -> None:
    from measure import machine, report

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=41)
    runs = parser.parse_args().runs
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            written = write(Path(folder), name)
            for batch in (1, 16):
                served = {who: serve(path, batch) for who, path in written.items()}
                seconds = {who: [] for who in served}
                for _ in range(runs if batch == 1 else max(11, runs // 4)):
                    for who, (_, once) in served.items():
                        seconds[who].append(once())
                for process, _ in served.values():
                    process.stdin.close()
                    process.wait()
                report(f"{name}, batch {batch}", seconds, "ours", "keras.applications")


if __name__ == "__main__":
    main()
