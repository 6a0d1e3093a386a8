"""The process that runs one contender, a timed call for each line on its standard input.

The script is `python -m keras_effnets.analysis.benchmark.contender_process ARGUMENTS`, with the
arguments as JSON. It prints "ready" after its warm-up, the seconds of a call for each line that it
reads, and at the end its peak memory in bytes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

from keras_effnets.analysis.own_process import peak_memory

WARM_UP = 3


class Process:
    """A running contender that waits for its turn.

    Args:
        arguments: The script's arguments.
        environment: Environment variables to add to this process's own.

    Raises:
        RuntimeError: The contender cannot run.
    """

    def __init__(self, arguments: dict[str, Any], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        answer = self._read()
        if answer != "ready":
            self._process.wait()
            raise RuntimeError(answer or "its process ended without an error message")

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def once(self) -> float:
        """Runs one call and returns its seconds."""
        self._write("run")
        return float(self._read())

    def end(self) -> int:
        """Ends the process and returns its peak memory in bytes."""
        self._write("end")
        peak = int(self._read())
        self._process.communicate()
        return peak

    def kill(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.communicate()


def _serve(arguments: dict[str, Any], answers: Any) -> None:
    from keras_effnets.analysis.benchmark.timed_calls import forward, random_images, training

    who, name, threads = arguments["who"], arguments["name"], arguments["threads"]
    _pin(who, threads)
    images = random_images(arguments["batch"], arguments["side"])
    if arguments["train"]:
        call = training(who, name, images)
    else:
        call = forward(who, arguments["engine"], name, images, threads)
    for _ in range(WARM_UP):
        call()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        start = time.perf_counter()
        call()
        print(time.perf_counter() - start, file=answers, flush=True)
    print(peak_memory(), file=answers, flush=True)


def _pin(who: str, threads: int) -> None:
    import importlib

    if who == "torchvision":
        importlib.import_module("torch").set_num_threads(threads)
        return
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)


def main() -> None:
    """Runs the script."""
    # Libraries print to standard output when they start: answers go to a copy of it.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        _serve(json.loads(sys.argv[1]), answers)
    except Exception as error:  # any error is reported to the parent process
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        print(f"{type(error).__name__}: {reason}", file=answers, flush=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
