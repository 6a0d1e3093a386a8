"""Keras's files, read without Keras: the same names for all layouts, and no trust in any file."""

import json
import random
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import ml_dtypes
import numpy as np
import pytest

from weights_tools.formats.checkpoint import CheckpointError, read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
ENDINGS = (".keras", ".h5", ".weights.h5")
layers = keras.layers


def small_body() -> keras.Model:
    body = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255, name="scale"),
            layers.Normalization(name="normal"),
            layers.Conv2D(4, 3, use_bias=False, name="first"),
            layers.BatchNormalization(name="first_bn"),
            layers.DepthwiseConv2D(3, name="second"),
            layers.BatchNormalization(scale=False, center=False, name="second_bn"),
        ],
        name="body",
    )
    rng = np.random.default_rng(0)
    body.set_weights([rng.uniform(0.5, 1.5, w.shape).astype(np.float32) for w in body.weights])
    return body


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A small network inside another, trained and partly frozen."""
    body = small_body()
    outer = keras.Sequential(
        [body, layers.GlobalAveragePooling2D(), layers.Dense(2, name="head")], name="outer"
    )
    outer.compile("adam", "mse", metrics=["mae"])
    outer.fit(np.zeros((2, 8, 8, 3)), np.zeros((2, 2)), verbose=0)
    body.get_layer("first_bn").trainable = False
    return outer


@pytest.fixture(scope="module")
def files(model, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("keras_files")
    found = {ending: folder / f"model{ending}" for ending in ENDINGS}
    for ending, path in found.items():
        (model.save_weights if ending == ".weights.h5" else model.save)(path)
    return found


def error_of(path: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def expected_of(model: keras.Model) -> dict[str, np.ndarray]:
    body, head = model.layers[0], model.get_layer("head")
    named = {f"body/{layer.name}": layer for layer in body.layers} | {"head": head}
    return {
        f"{path}/{variable.name}": np.asarray(variable.value)
        for path, layer in named.items()
        for variable in layer.weights
    }


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_layout_has_the_same_names_and_numbers(ending, model, files):
    checkpoint = read_checkpoint(files[ending])
    expected = expected_of(model)
    assert len(expected) == 14
    assert checkpoint.tensors.keys() == expected.keys()
    for name, tensor in checkpoint.tensors.items():
        np.testing.assert_array_equal(tensor, expected[name], err_msg=name)
    kinds = {path: layer.kind for path, layer in checkpoint.layers.items()}
    assert kinds["body/scale"] == "rescaling"
    assert kinds["head"] == "dense"


def test_a_file_says_what_it_knows_of_itself(files):
    for ending in (".keras", ".h5"):
        checkpoint = read_checkpoint(files[ending])
        assert checkpoint.metadata == {"keras_version": keras.__version__}
        assert checkpoint.layers["body/scale"].config["scale"] == 1 / 255
    assert read_checkpoint(files[".weights.h5"]).metadata == {}


def test_neither_keras_nor_h5py_is_imported_without_need(files):
    script = (
        "import sys; from weights_tools.formats.checkpoint import read_checkpoint;"
        "assert 'h5py' not in sys.modules;"
        f"read_checkpoint({str(files['.keras'])!r});"
        "assert 'keras' not in sys.modules and 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_stays_as_it_is(dtype, ending, tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2, dtype=dtype, name="d")])
    if ending == ".h5" and dtype == "bfloat16":
        pytest.skip("Keras writes bfloat16 to its older layout as two bytes without a meaning")
    path = tmp_path / f"half{ending}"
    (model.save_weights if ending == ".weights.h5" else model.save)(path)
    kernel = read_checkpoint(path).tensors["d/kernel"]
    assert kernel.dtype == (ml_dtypes.bfloat16 if dtype == "bfloat16" else np.float16)
    np.testing.assert_array_equal(
        kernel.astype(np.float32), np.asarray(model.weights[0].value, np.float32)
    )


def test_one_of_gamma_and_beta_is_named_where_the_config_tells(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.BatchNormalization(scale=False, name="n")])
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    told = list(read_checkpoint(tmp_path / "m.keras").tensors)
    assert told == ["n/beta", "n/moving_mean", "n/moving_variance"]
    assert list(read_checkpoint(tmp_path / "m.weights.h5").tensors) == ["n/0", "n/1", "n/2"]


def without_names(source: Path, target: Path) -> None:
    """Copies a file as older versions of Keras wrote it, without the groups' layer names."""
    shutil.copy(source, target)
    with h5py.File(target, "a") as file:
        file.visititems(lambda _, item: item.attrs.pop("name", None))


def test_a_config_names_the_layers_of_files_that_do_not(files, tmp_path):
    nameless = tmp_path / "nameless.weights.h5"
    without_names(files[".weights.h5"], nameless)
    assert "does not say which layer 'layers/" in error_of(nameless)
    archive = tmp_path / "nameless.keras"
    with zipfile.ZipFile(files[".keras"]) as old, zipfile.ZipFile(archive, "w") as new:
        new.writestr("config.json", old.read("config.json"))
        new.write(nameless, "model.weights.h5", compress_type=zipfile.ZIP_DEFLATED)
    expected = read_checkpoint(files[".keras"]).tensors
    found = read_checkpoint(archive).tensors
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor, err_msg=name)


def test_a_subclassed_models_attributes_are_places_too(tmp_path):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.backbone = small_body()
            self.top = layers.Dense(2, name="dense_7")

        def call(self, x):
            return self.top(keras.ops.mean(self.backbone(x), (1, 2)))

    model = Model()
    model(np.zeros((1, 8, 8, 3)))
    model.save_weights(tmp_path / "m.weights.h5")
    names = read_checkpoint(tmp_path / "m.weights.h5").tensors
    assert {"body/first/kernel", "dense_7/kernel", "dense_7/bias"} <= names.keys()


def test_weights_in_several_files_are_refused(model, tmp_path):
    index = tmp_path / "m.weights.json"
    model.save_weights(index, max_shard_size=1)
    (shard,) = tmp_path.glob("*.weights.h5")
    for path in (index, shard):
        assert "several files that hold the weights: not supported" in error_of(path)


def archive_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"config.json": b"{}", "model.weights.npz": b""}, "model.weights.npz): not supported"),
        ({"config.json": b"{}"}, "has no model.weights.h5 (found no weights)"),
        ({"config.json": b"[]", "model.weights.h5": b""}, "config.json is not a JSON object"),
        ({"config.json": b"{}", "model.weights.h5": b"\x89HDF"}, "damaged or truncated"),
        ({"config.json": b"[" * 100_000, "model.weights.h5": b""}, "damaged or truncated"),
    ],
)
def test_an_archive_that_is_not_whole_is_refused(members, reason, tmp_path):
    assert reason in error_of(archive_of(tmp_path / "a.keras", members))


def layer_file(path: Path) -> h5py.File:
    """A file with the layer "good", in Keras's older layout, to add something bad to."""
    file = h5py.File(path, "w")
    file.attrs["layer_names"] = ["good"]
    file["good/good/kernel:0"] = np.ones((30, 30), np.float32)
    return file


def soft_link(file, folder):
    file["good/good/bias:0"] = h5py.SoftLink("/good/good/kernel:0")


def external_link(file, folder):
    file["good/good/bias:0"] = h5py.ExternalLink("/etc/hostname", "/x")


def virtual_dataset(file, folder):
    layout = h5py.VirtualLayout((3,), np.float32)
    layout[:] = h5py.VirtualSource(folder / "other.h5", "x", (3,))
    file.create_virtual_dataset("good/good/bias:0", layout)


def external_storage(file, folder):
    external = [(str(folder / "secret"), 0, 12)]
    file.create_dataset("good/good/bias:0", (3,), np.float32, external=external)


def loop(file, folder):
    file["good/good/again"] = file["good"]


def strings(file, folder):
    file["good/good/vocabulary"] = ["a", "b"]


def references(file, folder):
    file.create_dataset("good/good/bias:0", data=file["good"].ref, dtype=h5py.ref_dtype)


def compound(file, folder):
    file["good/good/bias:0"] = np.zeros(3, [("a", "f4"), ("b", "i4")])


def nothing(file, folder):
    file["good/good/bias:0"] = h5py.Empty("f4")


def named_type(file, folder):
    file["good/good/bias:0"] = np.dtype("f4")


def compressed_air(file, folder):
    air = np.zeros((1000, 1000), np.float32)
    file.create_dataset("good/good/bias:0", data=air, compression="gzip")


def never_written(file, folder):
    file.create_dataset("good/good/bias:0", (10**6, 10**6), np.float32, chunks=(100, 100))


def twice(file, folder):
    file["good/good/kernel"] = np.ones((30, 30), np.float32)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (soft_link, "is a soft or external link"),
        (external_link, "is a soft or external link"),
        (virtual_dataset, "stores its values in another file"),
        (external_storage, "stores its values in another file"),
        (loop, "linked twice"),
        (strings, "has dtype object: not supported"),
        (references, "has dtype object: not supported"),
        (compound, "not supported"),
        (nothing, "has no values"),
        (named_type, "not a tensor"),
        (compressed_air, "over 4 times that: refused"),
        (never_written, "over 4 times that: refused"),
        (twice, "two tensors named 'good/kernel'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_no_weights_need_is_refused(spoil, reason, tmp_path):
    path = tmp_path / "bad.h5"
    with layer_file(path) as file:
        assert list(read_names(file)) == ["good/good/kernel:0"]
        spoil(file, tmp_path)
    assert reason in error_of(path)


def read_names(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, item: names.append(name) if hasattr(item, "shape") else None)
    return names


def test_compressed_and_chunked_weights_are_read(tmp_path):
    path = tmp_path / "packed.h5"
    values = np.random.default_rng(0).normal(size=(30, 30)).astype(">f4")
    with layer_file(path) as file:
        file.create_dataset("good/good/bias:0", data=values, compression="gzip", shuffle=True)
    np.testing.assert_array_equal(read_checkpoint(path).tensors["good/bias"], values)


def test_other_hdf5_is_not_taken_for_keras(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["title"] = "measurements"
    assert "Keras did not write it" in error_of(tmp_path / "other.h5")


@pytest.mark.parametrize("ending", ENDINGS)
def test_whatever_is_damaged_the_error_is_the_same(ending, files, tmp_path):
    rng = random.Random(0)
    whole = files[ending].read_bytes()
    path = tmp_path / f"damaged{ending}"
    refused = 0
    for _ in range(60):
        damaged = bytearray(whole)
        reach = rng.choice([200, 3000, len(whole)])
        for _ in range(rng.choice([1, 20])):
            damaged[rng.randrange(min(reach, len(whole)))] = rng.randrange(256)
        if rng.random() < 0.3:
            del damaged[rng.randrange(9, len(damaged)) :]
        path.write_bytes(damaged)
        try:
            read_checkpoint(path)
        except CheckpointError:
            refused += 1
    assert refused > 20


def test_a_lambda_in_a_config_is_not_run(tmp_path, files):
    config = {
        "class_name": "Sequential",
        "config": {
            "name": "m",
            "layers": [
                {"class_name": "Lambda", "config": {"name": "evil", "function": ["!", None, None]}}
            ],
        },
    }
    with zipfile.ZipFile(files[".keras"]) as old:
        weights = old.read("model.weights.h5")
    path = archive_of(
        tmp_path / "a.keras",
        {"config.json": json.dumps(config).encode(), "model.weights.h5": weights},
    )
    assert "head/kernel" in read_checkpoint(path).tensors
