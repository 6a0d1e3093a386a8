"""A killed run ends with the same bits as an uninterrupted one."""

import signal
from pathlib import Path

import fresh_processes
import numpy as np
import pytest
from made_pictures import write_pictures

from keras_effnets.training.run_state import read_state

RUN = """
import os, signal, sys
from keras_effnets import finetune
from keras_effnets.training import training_loop

pictures, network, out, kind, number = *sys.argv[1:5], int(sys.argv[5])
count = 0

def at(this):
    global count
    count += kind == this
    if count == number and kind == this:
        os.kill(os.getpid(), signal.SIGKILL)

fsync, validate, end = os.fsync, training_loop._validate, training_loop._Bar.on_train_batch_end

def on_train_batch_end(self, batch, logs=None):
    at("batch")
    end(self, batch, logs)

def killed_fsync(handle):  # the state is written but not yet renamed
    at("writing")
    fsync(handle)

def killed_validate(stage):
    at("validation")
    return validate(stage)

os.fsync, training_loop._validate = killed_fsync, killed_validate
training_loop._Bar.on_train_batch_end = on_train_batch_end
finetune(
    pictures, out=out, model=network, batch_size=8, validation=0.2,
    head_epochs=2, tune_epochs=2, tune_augment=("flip", "crop"), ema=0.5, deterministic=True,
)
"""


@pytest.fixture(scope="module")
def run(pictures, tiny_network):
    def run_in_a_process(out, kind="never", number=0):
        return fresh_processes.run(RUN, pictures, tiny_network, out, kind, number)

    return run_in_a_process


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), train=6, test=2)


@pytest.fixture(scope="module")
def uninterrupted(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "whole"
    done = run(out)
    assert done.returncode == 0, done.stderr
    return out


def assert_same(out: Path, whole: Path):
    ours, theirs = (read_state(folder / "state.safetensors") for folder in (out, whole))
    for name in ("model", "optimizer", "best"):
        assert len(ours[1][name]) == len(theirs[1][name]) > 0
        for left, right in zip(ours[1][name], theirs[1][name], strict=True):
            np.testing.assert_array_equal(left, right)
    assert (out / "predictions.csv").read_text() == (whole / "predictions.csv").read_text()


@pytest.mark.parametrize(
    "moments",
    [
        [("writing", 2), ("batch", 5)],
        pytest.param(
            [("batch", 2), ("writing", 2), ("batch", 3), ("validation", 1), ("writing", 1)],
            marks=pytest.mark.full,
        ),
    ],
    ids=["twice", "five times"],
)
def test_killed_in_one_run(run, uninterrupted, tmp_path, moments):
    """Kills in a stage's first batches, during the write of a state, and in validation."""
    out = tmp_path / "run"
    for kind, number in moments:
        killed = run(out, kind, number)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    done = run(out)
    assert done.returncode == 0, done.stderr
    assert_same(out, uninterrupted)
    assert not [path.name for path in out.glob(".*") if path.name != ".lock"]
