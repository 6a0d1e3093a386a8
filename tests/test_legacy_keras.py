"""Keras 2 under TensorFlow is refused with the reason."""

import os
import subprocess
import sys


def test_legacy_keras_is_refused_at_import():
    process = subprocess.run(
        [sys.executable, "-c", "import keras_effnets"],
        env={**os.environ, "TF_USE_LEGACY_KERAS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode != 0
    assert "ImportError: keras_effnets needs Keras 3, and TF_USE_LEGACY_KERAS" in process.stderr
