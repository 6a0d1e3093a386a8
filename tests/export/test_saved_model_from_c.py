"""A served model needs no Python: a C program loads and runs it."""

import os
import shutil
import subprocess
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import living
from tensorflow.core.protobuf import saved_model_pb2

from keras_effnets.export import export_saved_model
from keras_effnets.export.parity import probe_images

HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("cc") is None, reason="there is no C compiler")
def test_a_c_program_gives_the_models_probabilities(tmp_path):
    keras.utils.set_random_seed(1)
    model = living("mobilenet_v2")
    version = export_saved_model(model, tmp_path / "model")
    images = probe_images(model.input_shape[1:], 3)
    images.tofile(tmp_path / "images.bin")
    library = Path(tf.sysconfig.get_lib())
    program = tmp_path / "serve"
    compiler = ["cc", "-std=c11", "-Wall", "-Werror", "-I", tf.sysconfig.get_include()]
    libraries = ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    subprocess.run(
        [*compiler, HERE / "serve.c", "-o", program, "-L", library, *libraries], check=True
    )
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    given, _ = signature.inputs["images"].name.split(":")
    taken, index = signature.outputs["probabilities"].name.split(":")
    shape = map(str, images.shape)
    ran = subprocess.run(
        [program, version, tmp_path / "images.bin", given, taken, index, *shape],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(library), "TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    found = np.array(ran.stdout.split(), np.float32).reshape(3, -1)
    expected = np.asarray(model(images, training=False))
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-5)
