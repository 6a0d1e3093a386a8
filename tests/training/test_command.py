"""`keras-effnets finetune`, then `predict` and `evaluate` on its run."""

import json
import shutil

import fresh_processes
import pytest
import running
from made_pictures import write_pictures

from keras_effnets.commands.cli import app
from keras_effnets.training.run_state import read_state


def run(*arguments):
    return running.run(app, *arguments)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"), train=6, test=2)


@pytest.fixture(scope="module")
def quick(tiny_network):
    options = ("--batch=8", "--validation=0.2", "--head-epochs=2", "--tune-epochs=0")
    return f"--model={tiny_network}", *options


@pytest.fixture(scope="module")
def finished(pictures, quick, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, run("finetune", pictures, "--out", out, *quick)


def test_it_tells_the_result_and_where_the_report_is(finished):
    out, (code, text, errors) = finished
    assert code == 0, errors
    result, report = text.splitlines()
    assert result.startswith("test accuracy: ")
    assert report == str(out / "report.md")
    assert result in (out / "report.md").read_text().splitlines()
    assert "head 2/2, loss " in errors


def test_predict_takes_the_run_for_a_model(finished, pictures):
    out, _ = finished
    code, text, _ = run("predict", pictures / "test" / "red", "--model", out, "--json")
    assert code == 0
    for record in json.loads(text):
        assert {each["name"] for each in record["predictions"]} == {"blue", "red", "striped"}


def test_evaluate_agrees_with_the_report(finished, pictures):
    out, (_, result, _) = finished
    code, text, _ = run("evaluate", pictures / "test", "--model", out, "--json")
    assert code == 0
    assert f"({json.loads(text)['top1_correct']} of 6)" in result


def test_mistakes_are_one_line_and_write_nothing(finished, pictures, quick, tmp_path):
    out, _ = finished
    unlike = shutil.copytree(pictures, tmp_path / "unlike")
    (unlike / "test" / "red").rename(unlike / "test" / "rouge")
    (tmp_path / "empty").mkdir()
    new = tmp_path / "new"
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    for arguments, words in (
        ((tmp_path / "none", "--out", new), "there is no such folder"),
        ((tmp_path / "empty", "--out", new), "no images"),
        ((unlike, "--out", new), "rouge"),
        ((pictures, "--out", new, "--classes", 4), "classes=4"),
        ((pictures, "--out", new, "--tune-augment", "blur"), "blur"),
        ((pictures, "--out", new, "--tune-since", "stage99"), "stage99"),
        ((pictures, "--out", out, "--seed", 1), "a run with other settings: its seed is 0"),
        ((pictures, "--out", new, "--distribute", "processes"), "coordinator"),
    ):
        code, text, errors = run("finetune", *arguments, *quick)
        assert (code, text) == (2, ""), errors
        (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert words in line
    assert not new.exists()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


INTERRUPTED = """
import os, signal, sys
from keras_effnets.commands.cli import main
from keras_effnets.training import training_loop

end = training_loop._Bar.on_train_batch_end

def on_train_batch_end(self, batch, logs=None):
    end(self, batch, logs)
    if self.model.optimizer.iterations == 4:  # in the second epoch
        os.kill(os.getpid(), signal.SIGINT)

training_loop._Bar.on_train_batch_end = on_train_batch_end
sys.argv = ["keras-effnets", *sys.argv[1:]]
main()
"""


def test_an_interrupted_run_says_how_to_go_on_and_does(pictures, quick, tmp_path):
    out = tmp_path / "run"
    command = ["finetune", str(pictures), "--out", str(out), *quick]
    stopped = fresh_processes.run(INTERRUPTED, *command)
    assert stopped.returncode == 130, stopped.stderr
    assert "the same command resumes after the last finished epoch" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert read_state(out / "state.safetensors")[0].epoch == 1
    code, _, errors = run(*command)
    assert code == 0
    assert "resuming after epoch 1 of stage head" in errors
