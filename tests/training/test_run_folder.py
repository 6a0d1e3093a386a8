import csv
import multiprocessing

import pytest

from keras_effnets.training.run_folder import RunFolder, read_config

CONFIG = {"settings": {"model": "vgg11", "seed": 0}, "data": {"train": 3}, "versions": {"a": "1"}}


def test_a_new_folder_is_made_and_says_what_it_is(tmp_path):
    folder = RunFolder(tmp_path / "deep" / "run")
    with folder.claim(CONFIG):
        assert read_config(folder.path) == CONFIG


def test_the_same_run_may_come_again_on_other_versions(tmp_path):
    folder = RunFolder(tmp_path / "run")
    with folder.claim(CONFIG):
        pass
    with folder.claim({**CONFIG, "versions": {"a": "2"}}):
        assert read_config(folder.path) == CONFIG


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"settings": {"model": "vgg13", "seed": 0}},
            "settings: its model is 'vgg11', not 'vgg13'",
        ),
        ({"settings": {"model": "vgg11"}}, "settings: its seed is 0, not None"),
        ({"data": {"train": 4}}, "data: its train is 3, not 4"),
    ],
)
def test_another_run_is_refused_and_nothing_is_written(tmp_path, change, message):
    folder = RunFolder(tmp_path / "run")
    with folder.claim(CONFIG):
        pass
    before = {path.name: path.read_bytes() for path in folder.path.iterdir()}
    with (
        pytest.raises(ValueError, match=f"a run with other {message}"),
        folder.claim({**CONFIG, **change}),
    ):
        raise AssertionError("the folder was given away")
    assert {path.name: path.read_bytes() for path in folder.path.iterdir()} == before


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with (
        pytest.raises(ValueError, match=r"holds thesis\.tex and no run"),
        RunFolder(tmp_path).claim(CONFIG),
    ):
        raise AssertionError("the folder was given away")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "run").write_text("")
    with (
        pytest.raises(ValueError, match="this is a file"),
        RunFolder(tmp_path / "run").claim(CONFIG),
    ):
        raise AssertionError("the folder was given away")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_configuration_is_named(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with (
        pytest.raises(ValueError, match=r"config\.json: not the configuration of a run"),
        RunFolder(tmp_path).claim(CONFIG),
    ):
        raise AssertionError("the folder was given away")


def _claim(path, answers):
    try:
        with RunFolder(path).claim(CONFIG):
            answers.put("claimed")
    except ValueError as error:
        answers.put(str(error))


def test_two_processes_do_not_share_a_run(tmp_path):
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with RunFolder(tmp_path / "run").claim(CONFIG):
        other = context.Process(target=_claim, args=(tmp_path / "run", answers))
        other.start()
        assert "another process is working on this run" in answers.get(timeout=60)
        other.join(60)


def test_tables_have_the_columns_of_all_rows(tmp_path):
    folder = RunFolder(tmp_path)
    folder.write_table(folder.metrics, [{"epoch": 1}, {"epoch": 2, "loss": 0.5}])
    rows = list(csv.DictReader(folder.metrics.read_text().splitlines()))
    assert rows == [{"epoch": "1", "loss": ""}, {"epoch": "2", "loss": "0.5"}]


def test_what_a_killed_process_was_writing_is_removed(tmp_path):
    folder = RunFolder(tmp_path)
    with folder.claim(CONFIG):
        pass
    for name in (".state.safetensors.x1_y", ".best.keras.77.keras", ".features-train.npy.abc"):
        (tmp_path / name).write_bytes(b"half")
    with folder.claim(CONFIG):
        assert {path.name for path in tmp_path.iterdir()} == {"config.json", ".lock"}
