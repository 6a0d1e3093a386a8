import csv
import json
import logging
import shutil

import keras
import numpy as np
import pytest
from made_pictures import CLASSES, write_pictures

import keras_effnets
from keras_effnets import finetune
from keras_effnets.training import training_loop
from keras_effnets.training.run_state import read_state

QUICK = {
    "model": "efficientnet_lite0",
    "side": 64,
    "batch_size": 8,
    "head_epochs": 3,
    "tune_epochs": 1,
    "validation": 0.2,
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return write_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def tiny(tiny_network):
    """The same for a tiny network, where it need not be a good one."""
    options = {**QUICK, "model": tiny_network}
    del options["side"]
    return options


@pytest.fixture(scope="module")
def finished(pictures, tmp_path_factory):
    """The folder and the outcome of a run of both stages."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    return folder, finetune(pictures, out=folder, **QUICK)


def test_it_learns(finished):
    _, outcome = finished
    assert outcome.part == "test"
    assert outcome.accuracy >= 10 / 12  # a third by chance
    assert outcome.correct == round(outcome.accuracy * 12)


def test_the_folder_holds_all_there_is_to_see(finished, pictures):
    folder, outcome = finished
    assert (folder / "labels.txt").read_text().split() == list(CLASSES)
    config = json.loads((folder / "config.json").read_text())
    assert config["settings"]["model"] == "efficientnet_lite0"
    assert config["settings"]["seed"] == 0
    assert config["data"]["classes"] == list(CLASSES)
    assert (config["data"]["train"], config["data"]["validation"]) == (18, 6)
    rows = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
    assert [row["stage"] for row in rows] == ["head"] * 3 + ["tune"]
    assert all(np.isfinite(float(row["val_loss"])) for row in rows)
    assert outcome.line in (folder / "report.md").read_text().splitlines()
    for name in ("curves.png", "confusion.png", "predictions.csv", "best.keras"):
        assert (folder / name).stat().st_size
    assert not list(folder.glob("features*"))


def test_the_model_knows_its_pictures_and_its_classes(finished):
    folder, outcome = finished
    model = keras.saving.load_model(folder / "best.keras")
    assert model.get_layer("classifier").labels == CLASSES
    assert model.get_layer("preprocessing").preset.crop == 64
    path = outcome.pictures.paths[0]
    pixels = keras_effnets.load_image(path, model.get_layer("preprocessing").preset)
    # Alone rather than in a batch, which convolves in another order.
    scores = np.asarray(model(pixels[None]))[0]
    np.testing.assert_allclose(scores, outcome.scores[0], atol=1e-5)


def test_the_best_epoch_is_kept(finished, pictures):
    folder, outcome = finished
    progress, _ = read_state(folder / "state.safetensors")
    losses = [record["val_loss"] for record in outcome.history]
    assert progress.best_loss == min(losses)


def test_only_the_last_stages_moved(finished):
    _, outcome = finished
    original = keras_effnets.EfficientNetLite0(weights="imagenet", input_shape=(64, 64, 3))
    theirs = {variable.path: np.asarray(variable) for variable in original.variables}
    moved = {
        variable.path
        for variable in outcome.model.variables
        if "classifier" not in variable.path
        and "seed_generator" not in variable.path
        and (np.asarray(variable) != theirs[variable.path]).any()
    }
    assert any(path.startswith("stage7") for path in moved)
    assert not any(path.startswith(("stem", "stage1", "stage2")) for path in moved)
    assert not any("moving" in path for path in moved)


def test_a_finished_run_is_not_trained_again(finished, pictures, monkeypatch):
    folder, outcome = finished
    before = (folder / "state.safetensors").read_bytes()
    monkeypatch.setattr(training_loop, "_epoch", lambda *_: pytest.fail("trained again"))
    again = finetune(pictures, out=folder, **QUICK)
    assert (folder / "state.safetensors").read_bytes() == before
    np.testing.assert_array_equal(again.scores, outcome.scores)


@pytest.mark.parametrize("change", [{"seed": 1}, {"model": "efficientnet_lite1"}, {"ema": 0.9}])
def test_a_run_of_other_settings_is_refused(finished, pictures, change):
    folder, _ = finished
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ValueError, match="a run with other settings: its"):
        finetune(pictures, out=folder, **{**QUICK, **change})
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


def test_other_pictures_are_refused(finished, tmp_path):
    folder, _ = finished
    with pytest.raises(ValueError, match="a run with other settings: its data is"):
        finetune(write_pictures(tmp_path / "others", seed=1, train=9), out=folder, **QUICK)


def test_the_cached_head_learns_what_the_whole_network_would(pictures, tiny, tmp_path, monkeypatch):
    """Without dropout both see the same batches: same losses, same weights."""
    options = {**tiny, "tune_epochs": 0, "dropout": 0.0}
    cached = finetune(pictures, out=tmp_path / "cached", **options)
    monkeypatch.setattr("keras_effnets.training.stages.MAX_BYTES", 0)
    whole = finetune(pictures, out=tmp_path / "whole", **options)
    for ours, theirs in zip(cached.history, whole.history, strict=True):
        # The pictures are decoded by Pillow here and by TensorFlow there.
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=0.05)
    assert (cached.predicted == whole.predicted).all()


def test_broken_pictures_are_named_and_left_out(pictures, tiny, tmp_path, caplog):
    folder = shutil.copytree(pictures, tmp_path / "pictures")
    (folder / "train" / "red" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    with caplog.at_level(logging.INFO, "keras_effnets"):
        outcome = finetune(folder, out=tmp_path / "run", **{**tiny, "tune_epochs": 0})
    assert [broken.path.endswith("broken.png") for broken in outcome.broken] == [True]
    assert "broken.png" in (tmp_path / "run" / "report.md").read_text()
    assert any("left out" in message and "broken.png" in message for message in caplog.messages)


@pytest.mark.parametrize(
    "options",
    [
        {"ema": 0.5, "class_weights": "balanced", "tune_augment": ("mixup", "flip")},
        pytest.param(
            {"validation": 0.0, "head_epochs": 0, "tune_since": "stage7"}, marks=pytest.mark.full
        ),
        pytest.param(
            {"precision": "mixed_bfloat16", "head_augment": ("flip",)}, marks=pytest.mark.full
        ),
    ],
    ids=lambda options: "-".join(options),
)
def test_every_option_trains(pictures, tiny, tmp_path, options):
    outcome = finetune(pictures, out=tmp_path / "run", **{**tiny, **options})
    assert all(np.isfinite(record["loss"]) for record in outcome.history)
    assert outcome.history[-1]["stage"] == "tune"
    assert np.isfinite(outcome.scores).all()


def test_a_checkpoint_of_torchvisions_keys(pictures, tmp_path):
    torch = pytest.importorskip("torch")
    from torchvision_import import import_torchvision

    torch.manual_seed(0)
    path = tmp_path / "squeezenet.pth"
    torch.save(import_torchvision().models.squeezenet1_1().state_dict(), path)
    options = {**QUICK, "model": "squeezenet1_1", "weights": str(path), "tune_epochs": 0}
    outcome = finetune(pictures, out=tmp_path / "run", **options)
    kernel = next(v for v in outcome.model.variables if v.path.endswith("kernel"))
    theirs = torch.load(path)["features.0.weight"].numpy().transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(np.asarray(kernel), theirs)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "resnet5"}, "resnet5"),
        ({"classes": 4}, "classes=4: .* has 3 classes"),
        ({"tune_since": "stage99"}, "stage99"),
        ({"tune_augment": ("blur",)}, "blur"),
    ],
)
def test_bad_input(pictures, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        finetune(pictures, out=tmp_path / "run", **{**QUICK, **change})
    assert not (tmp_path / "run").exists()
