import json
import struct
import zipfile

import h5py
import keras
import numpy as np
import pretrained
import pytest
import running

import keras_effnets
from weights_tools import cli
from weights_tools.convert import convert
from weights_tools.formats.our_format import LAYOUT, WeightsFile, write_weights_file

TENSORS = {
    "stem/conv/kernel": np.arange(12, dtype=np.float32).reshape(2, 6),
    "classifier/dense/bias": np.ones(3, np.float32),
}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.safetensors"
    shapes = {name: tensor.shape for name, tensor in TENSORS.items()}
    readers = {name: lambda tensor=tensor: tensor for name, tensor in TENSORS.items()}
    write_weights_file(path, shapes, readers, {"model": "a"})
    return path


def read(path):
    return {name: value() for name, value in WeightsFile(path).values().items()}


def change_header(path, change):
    """Edits the parsed header by `change` and keeps the tensors' bytes."""
    content = path.read_bytes()
    end = 8 + struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8:end])
    change(header)
    encoded = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(encoded)) + encoded + content[end:])


def test_what_was_written_is_read(path):
    assert WeightsFile(path).metadata["keras_effnets"] == LAYOUT
    found = read(path)
    assert found.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_a_transposed_tensor_is_written_in_order(tmp_path):
    tensor = np.arange(6, dtype=np.float32).reshape(2, 3).T
    write_weights_file(tmp_path / "t", {"t": (3, 2)}, {"t": lambda: tensor}, {})
    np.testing.assert_array_equal(read(tmp_path / "t")["t"], tensor)


def test_a_changed_number_is_refused_by_name(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1  # in the last tensor
    path.write_bytes(content)
    values = WeightsFile(path).values()
    np.testing.assert_array_equal(values["stem/conv/kernel"](), TENSORS["stem/conv/kernel"])
    with pytest.raises(ValueError, match=r"classifier/dense/bias was changed or damaged"):
        values["classifier/dense/bias"]()
    code, out, err = running.run(cli.app, "inspect", path)
    assert (code, out) == (2, "")
    assert "classifier/dense/bias was changed or damaged" in err


def test_swapped_names_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    tensors = {"a": np.zeros(2, np.float32), "b": np.ones(2, np.float32)}
    readers = {name: lambda tensor=tensor: tensor for name, tensor in tensors.items()}
    write_weights_file(path, {"a": (2,), "b": (2,)}, readers, {})

    def swap(header):
        header["a"], header["b"] = header["b"], header["a"]

    change_header(path, swap)
    with pytest.raises(ValueError, match="b was changed or damaged"):
        read(path)


@pytest.mark.parametrize("digests", [None, "{}", "[]", "not JSON", '{"stem/conv/kernel": 5}'])
def test_a_file_without_its_digests_is_refused(path, digests):
    def change(header):
        del header["__metadata__"]["digests"]
        if digests is not None:
            header["__metadata__"]["digests"] = digests

    change_header(path, change)
    with pytest.raises(ValueError, match="digest"):
        read(path)
    assert running.run(cli.app, "inspect", path)[0] == 2


def test_inspect_says_that_the_digests_match(path):
    code, out, err = running.run(cli.app, "inspect", path)
    assert (code, err) == (0, "")
    assert "digests     of all 2 tensors match" in out


def test_somebody_elses_file_needs_no_digests(path):
    change_header(path, lambda header: header["__metadata__"].pop("keras_effnets"))
    assert read(path).keys() == TENSORS.keys()


@pytest.fixture(scope="module", params=[".keras", ".weights.h5"])
def saved(request, tmp_path_factory):
    """Lite0's real weights in a file that Keras wrote for us."""
    path = tmp_path_factory.mktemp("saved") / f"lite0{request.param}"
    convert(pretrained.checkpoint(), "efficientnet_lite0", path)
    return path


def change_one_weight(path, folder):
    """Writes a valid copy in which one number of the stem's kernel is changed."""
    changed = folder / path.name
    weights = folder / "weights.h5"
    if path.name.endswith(".keras"):
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        weights.write_bytes(members["model.weights.h5"])
    else:
        weights.write_bytes(path.read_bytes())
    with h5py.File(weights, "a") as file:
        name = next(n for n in dataset_names(file) if file[n].shape == (3, 3, 3, 32))
        file[name][0, 0, 0, 0] += 1
    if path.name.endswith(".keras"):
        members["model.weights.h5"] = weights.read_bytes()
        with zipfile.ZipFile(changed, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        changed.write_bytes(weights.read_bytes())
    return changed


def dataset_names(file):
    names = []
    file.visititems(lambda n, o: names.append(n) if isinstance(o, h5py.Dataset) else None)
    return names


def test_keras_files_carry_their_provenance_and_load(saved):
    code, out, err = running.run(cli.app, "inspect", saved)
    assert (code, err) == (0, "")
    assert "digests     of all 247 tensors match" in out
    assert "  license" in out
    if saved.name.endswith(".keras"):
        assert keras.saving.load_model(saved).count_params() == 4_694_024


def test_a_changed_keras_file_is_refused(saved, tmp_path):
    changed = change_one_weight(saved, tmp_path)
    with pytest.raises(ValueError, match=r"stem/conv/0 was changed or damaged"):
        keras_effnets.EfficientNetLite0(weights=changed)
    assert running.run(cli.app, "inspect", changed)[0] == 2
    model = keras_effnets.EfficientNetLite0(weights=saved)
    assert model.count_params() == 4_694_024
