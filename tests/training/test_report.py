import numpy as np
import pytest
from PIL import Image

from keras_effnets.data import Pictures
from keras_effnets.training import Settings
from keras_effnets.training.report import Outcome, wilson, write_report
from keras_effnets.training.run_folder import RunFolder

HISTORY = (
    {"stage": "head", "epoch": 1, "loss": 1.0, "accuracy": 0.5, "val_loss": 0.9, "seconds": 0.5,
     "val_accuracy": 0.6},
    {"stage": "tune", "epoch": 1, "loss": 0.8, "accuracy": 0.7, "val_loss": 0.7, "seconds": 2.0,
     "val_accuracy": 0.8},
)  # fmt: skip


@pytest.fixture
def pictures(tmp_path):
    paths = []
    for index in range(4):
        path = tmp_path / f"{index}.png"
        Image.new("RGB", (20, 20), (60 * index, 0, 0)).save(path)
        paths.append(str(path))
    return Pictures(tuple(paths), np.array([0, 0, 1, 2], np.int32), ("a|b", "$dog$", "cat"))


def outcome(pictures, scores, tmp_path, history=HISTORY):
    return Outcome(
        model=None,
        folder=tmp_path,
        part="test",
        pictures=pictures,
        scores=np.array(scores, np.float32),
        history=history,
        broken=(),
        settings=Settings(data="dogs", model="vgg11"),
        train=9,
        validation=2,
    )


def test_the_page_states_the_result_and_shows_the_pictures(pictures, tmp_path):
    scores = [[0.9, 0.1, 0], [0.2, 0.5, 0.3], [0, 0.9, 0.1], [0.7, 0.1, 0.2]]
    folder = RunFolder(tmp_path)
    write_report(folder, outcome(pictures, scores, tmp_path))
    lines = folder.report.read_text().splitlines()
    assert "test accuracy: 50.0 % (2 of 4)" in lines
    assert "| a\\|b | 2 | 50.0 % | 50.0 % |" in lines
    assert "| tune | 1 | 2.0 | 0.7000 | 80.0 % |" in lines
    for name in ("curves.png", "confusion.png", "mistakes.png"):
        assert any(f"]({name})" in line for line in lines)
        with Image.open(tmp_path / name) as image:
            image.load()
    table = folder.predictions.read_text().splitlines()
    assert table[0] == "path,class,predicted,score"
    assert table[4] == f"{tmp_path}/3.png,cat,a|b,0.7"


def test_without_mistakes_there_is_no_image(pictures, tmp_path):
    folder = RunFolder(tmp_path)
    folder.mistakes.write_bytes(b"of an earlier run")
    write_report(folder, outcome(pictures, np.eye(3)[[0, 0, 1, 2]], tmp_path))
    assert "test accuracy: 100.0 % (4 of 4)" in folder.report.read_text()
    assert "No mistakes." in folder.report.read_text()
    assert not folder.mistakes.exists()


def test_without_validation_there_is_one_curve(pictures, tmp_path):
    history = ({"stage": "head", "epoch": 1, "loss": 1.0, "accuracy": 0.5, "seconds": 1.0},)
    folder = RunFolder(tmp_path)
    write_report(folder, outcome(pictures, np.eye(3)[[0, 0, 1, 2]], tmp_path, history))
    assert "| head | 1 | 1.0 | - | - |" in folder.report.read_text()


@pytest.mark.parametrize(("right", "total"), [(70, 75), (1, 3), (9, 10)])
def test_the_interval_ends_where_the_share_would_be_1_96_deviations_off(right, total):
    for end in wilson(right, total):
        deviation = (end * (1 - end) / total) ** 0.5
        assert abs(right / total - end) == pytest.approx(1.959964 * deviation)


def test_the_interval_stays_within_0_and_1():
    assert 0 <= wilson(0, 10)[0] < 1e-9
    assert 1 - 1e-9 < wilson(10, 10)[1] <= 1
