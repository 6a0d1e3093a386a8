import sys
from pathlib import Path

import numpy as np
import pytest

from keras_effnets.data import open_data, stanford_dogs

scipy_io = pytest.importorskip("scipy.io", reason="SciPy is in the test extra")

TRAIN = ["n02085620-Chihuahua/n02085620_2.jpg", "n02085782-Japanese_spaniel/n02085782_1.jpg"]
TEST = ["n02085782-Japanese_spaniel/n02085782_9.jpg", "n02085620-Chihuahua/n02085620_1.jpg"]


def write_list(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    scipy_io.savemat(path, {"file_list": cells, "labels": np.ones((len(names), 1))})


@pytest.fixture(params=["lists", "."])
def archive(request, tmp_path, write):
    for number, name in enumerate([*TRAIN, *TEST]):
        write(tmp_path / "Images" / name, number)
    write_list(tmp_path / request.param / "train_list.mat", TRAIN)
    write_list(tmp_path / request.param / "test_list.mat", TEST)
    return tmp_path


@pytest.mark.parametrize("opened", [stanford_dogs, open_data])
def test_the_official_archives(archive, opened):
    splits = opened(archive)
    assert splits.classes == ("Chihuahua", "Japanese_spaniel")
    assert splits.validation is None
    assert splits.train.paths == tuple(str(archive / "Images" / name) for name in TRAIN)
    assert splits.train.targets.tolist() == [0, 1]
    assert splits.test.paths == tuple(str(archive / "Images" / name) for name in TEST)
    assert splits.test.targets.tolist() == [1, 0]


def test_a_picture_of_the_lists_that_is_missing(archive):
    (archive / "Images" / TEST[1]).unlink()
    with pytest.raises(FileNotFoundError, match=f"1 of 2 listed images are missing .*{TEST[1]}"):
        stanford_dogs(archive)


def test_lists_of_other_classes(archive):
    write_list(next(archive.rglob("test_list.mat")), TEST[:1])
    with pytest.raises(ValueError, match="n02085620-Chihuahua in only one of train_list and"):
        stanford_dogs(archive)


@pytest.mark.parametrize("content", [b"", b"MATLAB no more" * 20])
def test_a_damaged_list(archive, content):
    path = next(archive.rglob("train_list.mat"))
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train_list\.mat: can't be read as a list"):
        stanford_dogs(archive)


def test_a_list_of_something_else(archive):
    write_list(next(archive.rglob("train_list.mat")), ["../../secret", "b.jpg"])
    with pytest.raises(ValueError, match=r"file_list holds \.\./\.\./secret, b\.jpg; expected"):
        stanford_dogs(archive)


def test_what_is_missing_is_named(archive):
    next(archive.rglob("test_list.mat")).unlink()
    with pytest.raises(FileNotFoundError, match=r"lists/test_list\.mat: there is no such file"):
        stanford_dogs(archive)
    with pytest.raises(FileNotFoundError, match="Images: there is no such folder"):
        stanford_dogs(archive / "Images")
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        stanford_dogs(archive / "nowhere")


def test_without_scipy(archive, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(ImportError, match=r"needs scipy: pip install 'keras_effnets\[dogs\]'"):
        stanford_dogs(archive)


def pairs(pictures):
    return zip(pictures.paths, pictures.targets, strict=True)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_EFFNETS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


# Packages that TensorFlow Datasets imports use deprecated names.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
class TestTensorFlowDatasets:
    def test_pictures_are_written_once(self, home):
        tfds = pytest.importorskip("tensorflow_datasets", reason="it is in the test extra")
        with tfds.testing.mock_data(num_examples=9):
            splits = open_data("stanford_dogs")
            written = {path: path.stat().st_mtime_ns for path in home.rglob("*.jpg")}
            again = stanford_dogs()
        assert len(splits.classes) == 120
        assert len(splits.train) == len(splits.test) == 9
        assert len(written) == 18
        assert all(Path(path).is_relative_to(home) for path in splits.train.paths)
        assert again.train.paths == splits.train.paths
        assert {path: path.stat().st_mtime_ns for path in home.rglob("*.jpg")} == written
        shown = {(Path(path).read_bytes(), int(label)) for path, label in pairs(splits.train)}
        decoders = tfds.decode.PartialDecoding(
            {"image": True, "image/filename": True, "label": True},
            decoders={"image": tfds.decode.SkipDecoding()},
        )
        with tfds.testing.mock_data(num_examples=9):
            builder = tfds.builder("stanford_dogs")
            examples = builder.as_dataset(split="train", decoders=decoders).as_numpy_iterator()
            assert shown == {(example["image"], int(example["label"])) for example in examples}

    def test_the_written_pictures_decode(self, home):
        from keras_effnets.data import scan

        tfds = pytest.importorskip("tensorflow_datasets", reason="it is in the test extra")
        with tfds.testing.mock_data(num_examples=3):
            assert scan(stanford_dogs().train)[1] == ()

    def test_a_failure_leaves_nothing(self, home, monkeypatch):
        tfds = pytest.importorskip("tensorflow_datasets", reason="it is in the test extra")

        def full(path, content):
            raise OSError(28, "No space left on device", str(path))

        monkeypatch.setattr(Path, "write_bytes", full)
        with (
            tfds.testing.mock_data(num_examples=2),
            pytest.raises(OSError, match="No space left"),
        ):
            stanford_dogs()
        assert list((home / "data").iterdir()) == []

    def test_what_cannot_be_prepared(self, home, monkeypatch):
        tfds = pytest.importorskip("tensorflow_datasets", reason="it is in the test extra")

        def fail(name):
            raise RuntimeError("no route to host")

        monkeypatch.setattr(tfds, "builder", fail)
        with pytest.raises(OSError, match=r"no route to host; unpack images\.tar and lists\.tar"):
            stanford_dogs()


def test_without_tensorflow_datasets(home, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"needs tensorflow_datasets: pip install 'keras_eff"):
        open_data("stanford_dogs")


def test_a_folder_of_that_name_comes_first(tmp_path, write, monkeypatch):
    write(tmp_path / "stanford_dogs" / "pug" / "1.png")
    monkeypatch.chdir(tmp_path)
    assert open_data("stanford_dogs").classes == ("pug",)
