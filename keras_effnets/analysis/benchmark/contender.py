"""The process in which one contender runs, once for each line that it is given.

A script: `python -m keras_effnets.analysis.benchmark.contender ARGUMENTS`, the arguments as JSON.
It says
"ready" when it is warm, answers each line with the seconds that a call took, and ends with the
most bytes that it held.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

WARM_UP = 3


class Process:
    """A contender, waiting for its turn.

    Args:
        arguments: Of the script.
        environment: Variables that differ from this process's.

    Raises:
        RuntimeError: If it cannot run what it is to run.
    """

    def __init__(self, arguments: dict[str, Any], environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "keras_effnets.analysis.benchmark.contender",
                json.dumps(arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        answer = self._read()
        if answer != "ready":
            self._process.wait()
            raise RuntimeError(answer or "its process ended without a word")

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def once(self) -> float:
        """Seconds of one call."""
        self._write("run")
        return float(self._read())

    def end(self) -> int:
        """Ends the process; gives the most bytes that it held."""
        self._write("end")
        peak = int(self._read())
        self._process.communicate()
        return peak

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._process.communicate()


def _serve(arguments: dict[str, Any], answers: Any) -> None:
    import resource

    from keras_effnets.analysis.benchmark.jobs import forward, pictures_of, training

    threads = arguments["threads"]
    _pin(arguments["who"], threads)
    pictures = pictures_of(arguments["batch"], arguments["side"])
    if arguments["train"]:
        job = training(arguments["who"], arguments["name"], pictures)
    else:
        job = forward(arguments["who"], arguments["engine"], arguments["name"], pictures, threads)
    for _ in range(WARM_UP):
        job()
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        if line.strip() == "end":
            break
        start = time.perf_counter()
        job()
        print(time.perf_counter() - start, file=answers, flush=True)
    # Linux counts in kibibytes, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(peak, file=answers, flush=True)


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
    # Libraries greet on standard output: the answers keep a channel of their own.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        _serve(json.loads(sys.argv[1]), answers)
    except Exception as error:  # whatever it is, the process that asked is told
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        print(f"{type(error).__name__}: {reason}", file=answers, flush=True)
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
