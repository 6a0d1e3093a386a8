import resource
import signal

import keras
import numpy as np
import pytest

from keras_effnets.training.run_state import RunProgress, assign, read_state, values_of, write_state


def progress():
    return RunProgress(
        stage="head", epoch=3, best_loss=0.25, waited=1, history=[{"epoch": 1, "loss": 0.1}]
    )


def test_everything_comes_back_bit_for_bit(tmp_path):
    path = tmp_path / "state.safetensors"
    generator = np.random.default_rng(0)
    groups = {
        # Over ten, as text sorts 10 before 2; and one whose memory is not in C order.
        "model": [generator.normal(size=(2, index + 1)).astype("f4").T for index in range(12)],
        # Without an axis, as an optimizer's count of steps.
        "optimizer": [np.array(7, np.int64), np.array([1, 2], np.uint32)],
    }
    write_state(path, progress(), groups)
    found, values = read_state(path)
    assert found == progress()
    for group, arrays in groups.items():
        for ours, theirs in zip(values[group], arrays, strict=True):
            assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
            np.testing.assert_array_equal(ours, theirs)


def test_infinite_losses_come_back(tmp_path):
    write_state(tmp_path / "state", RunProgress(), {})
    assert read_state(tmp_path / "state") == (RunProgress(), {})


def test_no_file_is_no_state(tmp_path):
    assert read_state(tmp_path / "none") is None


def test_another_file_is_named(tmp_path):
    (tmp_path / "state").write_bytes(b"\x10" + bytes(30))
    with pytest.raises(ValueError, match="not the state of a run"):
        read_state(tmp_path / "state")


def test_the_draws_of_dropout_are_part_of_it():
    layer = keras.layers.Dropout(0.5)
    model = keras.Sequential([keras.Input((64,)), layer])
    ones = np.ones((1, 64), np.float32)
    before = values_of(model.variables)
    first = np.asarray(model(ones, training=True))
    second = np.asarray(model(ones, training=True))
    assert (first != second).any()
    assign(model.variables, before)
    np.testing.assert_array_equal(np.asarray(model(ones, training=True)), first)


def test_a_full_disk_leaves_the_last_state(tmp_path):
    path = tmp_path / "state"
    write_state(path, progress(), {"model": [np.zeros(4, np.float32)]})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OSError, match="too large"):
            write_state(path, RunProgress(), {"model": [np.zeros(1 << 16, np.float32)]})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert read_state(path)[0] == progress()
    assert [each.name for each in tmp_path.iterdir()] == ["state"]
