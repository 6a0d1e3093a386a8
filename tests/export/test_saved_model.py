"""A SavedModel for a server: two signatures, the whole model, no Python."""

import base64
import json
import subprocess
import sys
from functools import cache

import fresh_processes
import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import living
from tensorflow.core.protobuf import saved_model_pb2

import keras_effnets
from keras_effnets.export import ParityError, export_saved_model
from keras_effnets.export.parity import probe_images
from keras_effnets.export.serving.files import as_json
from keras_effnets.layers import nested_layers
from keras_effnets.layers.grouped_conv import GroupedConv2D

LABELS = ["ant", "bee", "cat", "dog"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return keras_effnets.reset_classifier(living("mobilenet_v3"), 4, labels=LABELS, seed=1)


@pytest.fixture(scope="module")
def root(model, tmp_path_factory):
    root = tmp_path_factory.mktemp("served") / "model"
    export_saved_model(model, root, top=3)
    return root


@pytest.fixture(scope="module")
def served(root):
    return tf.saved_model.load(str(root / "1")).signatures


def test_the_default_signature_gives_what_the_model_gives(model, served):
    images = probe_images(model.input_shape[1:])
    outputs = served["serving_default"](images=tf.constant(images))
    expected = np.asarray(model(images, training=False))
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    np.testing.assert_array_equal(outputs["classes"], expected.argmax(-1))


@pytest.mark.parametrize("batch", [1, 3])
def test_any_batch_is_served(model, served, batch):
    images = probe_images(model.input_shape[1:], batch)
    outputs = served["serving_default"](images=tf.constant(images))
    assert outputs["probabilities"].shape == (batch, 4)


def test_the_names_are_those_of_the_best_classes(root, served):
    request = json.loads((root / "1/assets.extra/golden_request.json").read_text())
    assert request["signature_name"] == "serve_bytes"
    encoded = [base64.b64decode(row["image_bytes"]["b64"]) for row in request["instances"]]
    answer = as_json(served["serve_bytes"](image_bytes=tf.constant(encoded)))
    golden = json.loads((root / "1/assets.extra/golden_response.json").read_text())
    assert golden == {"predictions": answer}
    (row,) = answer
    assert row["names"] == [LABELS[index] for index in row["classes"]]
    assert len(row["names"]) == 3
    assert row["scores"] == sorted(row["scores"], reverse=True)


def test_the_description_tells_parity_and_preset(root, model):
    described = json.loads((root / "1/assets.extra/keras_effnets.json").read_text())
    assert described["parity"]["max_difference"] <= 1e-5
    assert described["parity"]["top1_agreement"] == 1
    assert described["labels"] == LABELS
    assert described["preset"] == model.get_layer("preprocessing").preset.to_dict()
    assert described["bytes"] > 10_000


def test_a_process_with_tensorflow_alone_serves_it(root, model):
    script = (
        "import sys, numpy as np, tensorflow as tf\n"
        "call = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "outputs = call(images=tf.constant(np.load(sys.argv[2])))\n"
        "np.save(sys.argv[3], outputs['probabilities'])\n"
        "assert not any(name.startswith('keras_effnets') for name in sys.modules)\n"
    )
    images = probe_images(model.input_shape[1:])
    np.save(root / "in.npy", images)
    arguments = [root / "1", root / "in.npy", root / "out.npy"]
    subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        check=True,
        cwd=root,
        env={"TF_ENABLE_ONEDNN_OPTS": "0", "TF_CPP_MIN_LOG_LEVEL": "3", "PATH": ""},
    )
    expected = np.asarray(model(images, training=False))
    np.testing.assert_allclose(np.load(root / "out.npy"), expected, atol=1e-5)


def test_tensorflows_own_tool_lists_the_signatures(root):
    tool = "from tensorflow.python.tools.saved_model_cli import main; main()"
    done = fresh_processes.run(tool, "show", "--dir", root / "1", "--all")
    assert done.returncode == 0, done.stderr
    shown = done.stdout
    for word in ("serving_default", "serve_bytes", "inputs['images']", "inputs['image_bytes']"):
        assert word in shown
    assert (
        "outputs['names'] tensor_info:\n        dtype: DT_STRING\n        shape: (-1, 3)" in shown
    )


def nodes(version):
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    (graph,) = (meta.graph_def for meta in saved.meta_graphs)
    for function in graph.library.function:
        # Every SavedModel has functions to restore variables, even if it has no variables.
        if "restore" not in function.signature.name and "save" not in function.signature.name:
            assert "_XlaMustCompile" not in {k for k, v in function.attr.items() if v.b}
            yield from function.node_def


def test_the_graph_holds_neither_variables_nor_batch_norms_nor_python(root):
    operators = {node.op for node in nodes(root / "1")}
    assert {"Conv2D", "DepthwiseConv2dNative", "MatMul"} <= operators
    banned = ("Variable", "BatchNorm", "PyFunc", "Xla", "Random", "_Mkl", "Rsqrt")
    assert not [name for name in operators if any(word in name for word in banned)]


def test_grouped_convolutions_are_plain_ones(tmp_path):
    model = living("resnext_cifar", classifier_activation=None)
    version = export_saved_model(model, tmp_path)
    grouped = [layer for layer in nested_layers(model) if isinstance(layer, GroupedConv2D)]
    assert len(grouped) == 3
    assert [layer.groups for layer in grouped] == [4, 4, 4]
    plain = [layer for layer in nested_layers(model) if type(layer) is keras.layers.Conv2D]
    convolutions = [node for node in nodes(version) if node.op == "Conv2D"]
    assert len(convolutions) == len(plain) + 3 * 4
    images = probe_images(model.input_shape[1:])
    call = tf.saved_model.load(str(version)).signatures["serving_default"]
    logits = np.asarray(model(images, training=False))
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.testing.assert_allclose(
        call(images=tf.constant(images))["probabilities"], expected, atol=1e-5
    )


def test_warm_up_requests_are_those_of_the_real_protocol(root, served):
    from tensorflow_serving.apis import prediction_log_pb2

    path = root / "1/assets.extra/tf_serving_warmup_requests"
    records = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path))
    ]
    signatures = []
    for record in records:
        request = record.predict_log.request
        signatures.append(request.model_spec.signature_name)
        inputs = {name: tf.constant(tf.make_ndarray(x)) for name, x in request.inputs.items()}
        outputs = served[request.model_spec.signature_name](**inputs)
        assert all(len(value) == len(next(iter(inputs.values()))) for value in outputs.values())
    assert signatures == ["serving_default"] * 2 + ["serve_bytes"] * 2


def test_the_server_reads_its_configuration(root, model):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    config = text_format.Parse(
        (root / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    (only,) = config.model_config_list.config
    assert (only.name, only.base_path) == (model.name, f"/models/{model.name}")
    readme = (root / "README.md").read_text()
    assert f"/models/{model.name}/models.config" in readme
    assert f"/v1/models/{model.name}:predict" in readme
    assert "1/assets.extra/golden_request.json" in readme


@cache
def small(**options):
    return living("mobilenet_v2", **options)


def test_versions_count_on_and_are_not_replaced_by_accident(tmp_path):
    model = small()
    (tmp_path / "3").mkdir()
    assert export_saved_model(model, tmp_path).name == "4"
    assert export_saved_model(model, tmp_path, version=7).name == "7"
    before = (tmp_path / "7/saved_model.pb").stat().st_mtime_ns
    with pytest.raises(FileExistsError, match="this version exists; pass overwrite"):
        export_saved_model(model, tmp_path, version=7)
    assert (tmp_path / "7/saved_model.pb").stat().st_mtime_ns == before
    export_saved_model(model, tmp_path, version=7, overwrite=True)
    assert (tmp_path / "7/saved_model.pb").stat().st_mtime_ns != before
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["3", "4", "7", "README.md", "models.config"]


def test_beyond_the_tolerance_nothing_is_left(tmp_path):
    with pytest.raises(ParityError, match="of the largest logit"):
        export_saved_model(small(), tmp_path, tolerance=-1.0)
    assert not list(tmp_path.iterdir())


def test_a_directory_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        export_saved_model(small(), tmp_path / "file")


def test_whole_numbers_may_be_sent(tmp_path):
    model = small()
    version = export_saved_model(model, tmp_path, image_dtype="uint8")
    call = tf.saved_model.load(str(version)).signatures["serving_default"]
    images = probe_images(model.input_shape[1:])
    outputs = call(images=tf.constant(images, tf.uint8))["probabilities"]
    np.testing.assert_allclose(outputs, model(images, training=False), atol=1e-5)


def test_a_model_without_a_preset_needs_one_to_serve_bytes(tmp_path):
    model = keras.Sequential(
        [keras.Input((20, 20, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    version = export_saved_model(model, tmp_path)
    assert list(tf.saved_model.load(str(version)).signatures) == ["serving_default"]
    assert not (version / "assets.extra/golden_request.json").exists()
    preset = keras_effnets.Preset(crop=20, resize=22)
    version = export_saved_model(model, tmp_path, preset=preset, labels=["no", "yes"])
    assert set(tf.saved_model.load(str(version)).signatures) == {"serving_default", "serve_bytes"}


def test_bytes_are_normalised_for_a_model_that_does_not(tmp_path):
    apart = small(include_preprocessing=False)
    preset = keras_effnets.Preset(crop=32, resize=32, mean=(1, 2, 3), std=(4, 5, 6))
    version = export_saved_model(apart, tmp_path, preset=preset)
    image = probe_images((32, 32, 3), 1)
    expected = apart((image - np.array([1, 2, 3])) / np.array([4, 5, 6]), training=False)
    png = tf.io.encode_png(tf.constant(image[0], tf.uint8))
    serve = tf.saved_model.load(str(version)).signatures["serve_bytes"]
    scores = serve(image_bytes=png[None])["scores"][0]
    np.testing.assert_allclose(scores, np.sort(expected[0])[::-1], atol=1e-5)


def test_a_model_of_any_side_is_served_at_its_presets(tmp_path):
    version = export_saved_model(small(input_shape=(None, None, 3)), tmp_path)
    call = tf.saved_model.load(str(version)).signatures["serving_default"]
    assert call.structured_input_signature[1]["images"].shape[1:] == (224, 224, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": 0}, "version=0 is not an integer of 1 or more"),
        ({"top": 0}, "top=0 is not"),
        ({"labels": ["a"]}, "labels: 1 names, expected 4 names"),
        ({"image_dtype": "int8"}, "image_dtype='int8' is not one of"),
        ({"preset": keras_effnets.Preset(crop=7, resize=7)}, "its crop is 7, but model"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        export_saved_model(small(), tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_model_of_several_outputs_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, [inputs, inputs], name="two")
    with pytest.raises(ValueError, match=r"model='two' returns .*: expected one output"):
        export_saved_model(model, tmp_path)
