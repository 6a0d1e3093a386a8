"""Peak memory and time of a training step of DenseNet201, with and without `memory_efficient`.

Each way has its own process, because a process's peak never falls; their steps alternate. Two peaks
are reported: that of TensorFlow's allocator (weights, gradients and the tensors kept for them), and
that of the process, which adds Python, the libraries, the graph and the allocators' reserves.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

from measure import machine, report

WAYS = {"memory_efficient": True, "plain": False}


def train(name: str, side: int, batch: int, memory_efficient: bool) -> None:
    """Runs a step for each line on standard input and prints its seconds and bytes as JSON."""
    import keras
    import numpy as np
    import tensorflow as tf

    import keras_effnets

    model = keras_effnets.create_model(
        name, weights=None, memory_efficient=memory_efficient, input_shape=(side, side, 3)
    )
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    model.compile(optimizer, "sparse_categorical_crossentropy", jit_compile=False)
    generator = np.random.default_rng(0)
    x = generator.uniform(0, 255, (batch, side, side, 3)).astype("float32")
    y = generator.integers(0, 1000, batch)
    for _ in sys.stdin:
        start = time.perf_counter()
        model.train_on_batch(x, y)
        seconds = time.perf_counter() - start
        answer = {
            "seconds": seconds,
            "tensors": tf.config.experimental.get_memory_info("CPU:0")["peak"],
            "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        print(json.dumps(answer), flush=True)


def compare(options: argparse.Namespace) -> None:
    """Starts a process for each way, alternates their steps, and prints the results."""
    command = [sys.executable, __file__, *sys.argv[1:], "--way"]
    processes = {
        way: subprocess.Popen(
            [*command, way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for way in WAYS
    }
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    last: dict[str, dict[str, float]] = {}
    for run in range(options.runs + 1):
        for way, process in processes.items():
            assert process.stdin
            assert process.stdout
            process.stdin.write("step\n")
            process.stdin.flush()
            last[way] = json.loads(process.stdout.readline())
            if run:  # the first one traces
                seconds[way].append(last[way]["seconds"])
    for process in processes.values():
        process.communicate()
    title = f"{options.model}, batch {options.batch} at {options.side}, a training step"
    print(machine())
    report(title, seconds, *WAYS)
    for kind in ("tensors", "process"):
        ours, theirs = (last[way][kind] / 1e6 for way in WAYS)
        print(f"{title}, peak of the {kind}: {ours:.0f} / {theirs:.0f} MB = {ours / theirs:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="densenet201")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument(
        "--way", choices=WAYS, help="run only this way, a step for each line of input"
    )
    options = parser.parse_args()
    if options.way:
        train(options.model, options.side, options.batch, WAYS[options.way])
    else:
        compare(options)


if __name__ == "__main__":
    main()
