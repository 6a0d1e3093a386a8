"""Two devices or two processes learn what one does."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
from made_pictures import write_pictures

import keras_effnets
from keras_effnets.data import Pictures
from keras_effnets.training import Processes
from keras_effnets.training.run_state import read_state
from keras_effnets.training.workers import Workers, workers_for

OPTIONS = {
    "batch_size": 8,
    "validation": 0.2,
    "head_epochs": 1,
    "head_augment": ("flip",),
    "tune_epochs": 2,
    "dropout": 0.0,
}
RUN = """
import json, os, sys
import numpy as np
from keras_effnets import finetune
from keras_effnets.training import Processes, training_loop

out, rank, port, die_at, options = sys.argv[2], *map(int, sys.argv[3:6]), json.loads(sys.argv[6])
if options["distribute"] == "mirrored":
    import tensorflow as tf
    cpu = tf.config.list_physical_devices("CPU")[0]
    two = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, two)
processes = Processes(coordinator=f"127.0.0.1:{port}", rank=rank, count=2) if port else None
epoch = training_loop._epoch

def counted(stage, number, reporter):
    if die_at and rank == 1 and stage.name == "tune" and number == die_at - 1:
        os._exit(9)
    return epoch(stage, number, reporter)

training_loop._epoch = counted
try:
    outcome = finetune(sys.argv[1], out=out, processes=processes, **options)
except Exception as error:
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    os._exit(1)
os._exit(0)
"""


def start(pictures, out, *, backend, distribute="none", rank=0, port=0, die_at=0):
    import json

    command = [sys.executable, "-c", RUN, *map(str, (pictures, out, rank, port, die_at))]
    # A network that drops no branches: two devices draw other numbers than one.
    network = str(pictures / "network.keras")
    options = json.dumps({**OPTIONS, "model": network, "distribute": distribute})
    return subprocess.Popen(
        [*command, options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "KERAS_BACKEND": backend, "XLA_FLAGS": ""},
    )


def finish(process) -> str:
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    return errors


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def two_processes(pictures, out, die_at=0):
    port = free_port()
    return [
        start(
            pictures, out, backend="jax", distribute="processes", rank=rank, port=port,
            die_at=die_at,
        )
        for rank in (0, 1)
    ]  # fmt: skip


def assert_alike(out: Path, other: Path, tolerance: float):
    ours, theirs = (read_state(folder / "state.safetensors") for folder in (out, other))
    assert len(ours[1]["model"]) == len(theirs[1]["model"]) > 0
    for left, right in zip(ours[1]["model"], theirs[1]["model"], strict=True):
        if right.dtype.kind == "u":
            continue  # the states of unused random generators
        assert np.abs(left - right).max() <= tolerance * max(1.0, np.abs(right).max())
    for left, right in zip(ours[0].history, theirs[0].history, strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-3)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    # 18 for training after six are held out, so that the last batch of an epoch is smaller.
    folder = write_pictures(tmp_path_factory.mktemp("pictures"), train=8, test=2)
    keras.utils.set_random_seed(0)
    network = keras_effnets.MobileNetV2(alpha=0.35, weights=None, input_shape=(64, 64, 3))
    network.save(folder / "network.keras")
    return folder


@pytest.mark.full
def test_two_devices_learn_what_one_does(pictures, tmp_path):
    both = [
        start(pictures, tmp_path / name, backend="tensorflow", distribute=name)
        for name in ("none", "mirrored")
    ]
    for process in both:
        finish(process)
    assert_alike(tmp_path / "mirrored", tmp_path / "none", 1e-4)


@pytest.mark.full
def test_two_processes_learn_what_one_does_also_when_one_died(pictures, tmp_path):
    """Both end alike, and the survivor of a death says what happened."""
    finish(start(pictures, tmp_path / "one", backend="jax"))
    dying = two_processes(pictures, tmp_path / "two", die_at=2)
    dying[1].communicate(timeout=900)
    assert dying[1].returncode == 9
    begin = time.monotonic()
    _, errors = dying[0].communicate(timeout=300)
    assert dying[0].returncode == 1
    assert "PeerLostError: another process of this run is gone or unreachable" in errors
    assert time.monotonic() - begin < 290
    assert read_state(tmp_path / "two" / "state.safetensors")[0].epoch == 1
    for process in two_processes(pictures, tmp_path / "two"):
        finish(process)
    assert_alike(tmp_path / "two", tmp_path / "one", 1e-4)


def test_alone_nothing_is_repeated():
    pictures = Pictures(("a", "b", "c"), np.array([0, 1, 0]), ("x", "y"))
    assert Workers().even(pictures).paths == pictures.paths


def test_parts_are_made_even_by_the_first_few():
    workers = Workers()
    workers.parts = 4
    pictures = Pictures(tuple("abcde"), np.zeros(5), ("x",))
    assert workers.even(pictures).paths == tuple("abcdeabc")
    with pytest.raises(ValueError, match="batch_size=6: expected a multiple of 4"):
        workers.check(6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"coordinator": "10.0.0.1"}, "coordinator='10.0.0.1': expected HOST:PORT"),
        ({"count": 1}, "processes=1: expected 2 or more"),
        ({"rank": 2}, "rank=2: expected 0 to 1"),
        ({"rank": -1}, "rank=-1"),
    ],
)
def test_wrong_processes_are_named(values, message):
    with pytest.raises(ValueError, match=message):
        Processes(**{"coordinator": "10.0.0.1:8476", "rank": 0, "count": 2, **values})


def test_processes_need_jax_and_an_address():
    with pytest.raises(ValueError, match="set KERAS_BACKEND=jax"):
        workers_for("processes", Processes(coordinator="localhost:1", rank=0, count=2))
    with pytest.raises(ValueError, match="distribute='processes' needs coordinator"):
        workers_for("processes", None)
    with pytest.raises(ValueError, match="need distribute='processes', not 'none'"):
        workers_for("none", Processes(coordinator="localhost:1", rank=0, count=2))
